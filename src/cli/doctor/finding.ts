/** The worst first. */
export const LEVELS = ['fault', 'warning', 'ok'] as const;

export interface Finding {
  /** A fault keeps the server from starting or from being safe; a warning should be on purpose. */
  level: (typeof LEVELS)[number];
  /** Stable, for programs. */
  code: string;
  what: string;
  /** Not where all is in order. */
  todo?: string;
}

export const fault = (code: string, what: string, todo: string): Finding => ({
  level: 'fault',
  code,
  what,
  todo,
});

export const warning = (code: string, what: string, todo: string): Finding => ({
  level: 'warning',
  code,
  what,
  todo,
});

export const ok = (code: string, what: string): Finding => ({ level: 'ok', code, what });
