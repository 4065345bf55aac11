// Whether the process runs, asked on the port for operators: the image has no curl. Not whether Kafka or Redis do:
// a restart would not bring those back.
const { ADMIN_PORT = '9080' } = process.env;
const port = process.argv[2] ?? ADMIN_PORT;
try {
  const response = await fetch(`http://127.0.0.1:${port}/healthz`, { signal: AbortSignal.timeout(3000) });
  if (!response.ok) throw new Error(`status ${response.status}`);
} catch (error) {
  console.error(`unhealthy: ${error.cause?.message ?? error.message}`);
  process.exitCode = 1;
}
