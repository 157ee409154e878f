const UNITS = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/** `30m`, `14d`, `90s`, `24h`: a positive whole number with a unit. */
export const DURATION = /^[1-9]\d{0,6}[smhd]$/;

/** A duration as written in the settings, in whole seconds. */
export function seconds(duration: string): number {
  return Number(duration.slice(0, -1)) * UNITS[duration.at(-1) as keyof typeof UNITS];
}
