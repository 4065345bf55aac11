/** What a service shows on its admin port. */
export async function metricsText(adminUrl: string): Promise<string> {
  const response = await fetch(`${adminUrl}/metrics`, { signal: AbortSignal.timeout(10_000) });
  if (!response.ok) throw new Error(`${adminUrl}/metrics: ${response.status}`);
  return response.text();
}

/** The sum of a metric over its labels; 0 where it has no value yet. */
export async function metricOf(adminUrl: string, name: string): Promise<number> {
  const lines = (await metricsText(adminUrl)).split('\n');
  return lines
    .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}
