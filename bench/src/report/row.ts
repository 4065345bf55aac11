/** A row of a table of Markdown. */
export const row = (items: readonly string[]): string => `| ${items.join(' | ')} |`;
