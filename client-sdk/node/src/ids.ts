/** Ids of jobs. */

const SPELLINGS = [
  /^([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})$/,
  /^([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})$/,
];

/**
 * The canonical spelling of a job id, as servers return it: lower case with hyphens. A UUID may also have upper
 * case, braces, no hyphens or the prefix `urn:uuid:`. Every call converts its ids with this function, so that they
 * can be compared with those of a response. Other text is returned unchanged: the server rejects it.
 */
export function canonicalId(id: string): string {
  if (typeof id !== "string") return id;
  const text = id.toLowerCase();
  const bare = text.startsWith("urn:uuid:") ? text.slice(9) : /^\{.*\}$/s.test(text) ? text.slice(1, -1) : text;
  for (const spelling of SPELLINGS) {
    const parts = spelling.exec(bare);
    if (parts !== null) return parts.slice(1).join("-");
  }
  return id;
}
