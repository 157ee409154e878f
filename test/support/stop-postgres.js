export default async function stopPostgres() {
  await globalThis.__latchkeyPostgres?.stop();
}
