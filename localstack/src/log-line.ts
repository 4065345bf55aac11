const WARN = 40;
const SUMMARY_MAX = 240;

/**
 * What of a line that a service printed is worth a look on the console: the message of a warning or worse, and whatever is not
 * its log at all (a crash of Node). @returns undefined for the rest
 */
export function summaryOf(line: string): string | undefined {
  if (line.trim() === '') return undefined;
  const entry = parse(line);
  if (!entry) return line.slice(0, SUMMARY_MAX);
  if (typeof entry.level !== 'number' || entry.level < WARN) return undefined;
  const detail =
    typeof entry.err === 'object' && entry.err !== null ? (entry.err as { message?: unknown }).message : entry.err;
  const message = String(entry.msg ?? '');
  const suffix = typeof detail === 'string' && !message.includes(detail) ? ` (${detail})` : '';
  return (message + suffix).slice(0, SUMMARY_MAX);
}

function parse(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
