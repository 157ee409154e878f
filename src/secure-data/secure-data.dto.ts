export class SecureDataDto {
  message!: string;
}
