/** Whether `If-None-Match` has a tag: a list of them, weakly compared (RFC 9110 section 13.1.2). */
export const hasTag = (ifNoneMatch: string | undefined, etag: string): boolean =>
  (ifNoneMatch ?? '').split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag);
