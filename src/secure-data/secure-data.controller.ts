import { Controller, Get, Headers, UseGuards } from '@nestjs/common';
import { CurrentUser, type Principal } from '../auth/current-user.js';
import { JwtAuthGuard } from '../auth/jwt-auth.guard.js';
import { SecureDataDto } from './secure-data.dto.js';

/** The example protected resource: copy this folder to begin your own. */
@Controller('secure-data')
@UseGuards(JwtAuthGuard)
export class SecureDataController {
  /** Data for whoever is logged in, in English or Korean. */
  @Get()
  read(
    @CurrentUser() user: Principal,
    @Headers('accept-language') languages: string = '',
  ): SecureDataDto {
    const korean = /^\s*ko\b/i.test(languages);
    return {
      message: korean
        ? `${user.username}님만 볼 수 있는 데이터입니다!`
        : `Only ${user.username} can see this data`,
    };
  }
}
