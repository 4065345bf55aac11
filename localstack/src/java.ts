import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Options of a JVM that runs what lies in `folder`: a small heap and one collector thread, for an engine that shares a laptop with all
 * the others.
 * @param quickCompiler compiles once and cheaply: for an engine whose code is not worth more. Kafka's is, on the way of each message.
 */
export function javaArgs(
  folder: string,
  { heapMb, quickCompiler = false }: { heapMb: number; quickCompiler?: boolean },
): string[] {
  const jars = readdirSync(folder).filter((name) => name.endsWith('.jar'));
  const classPath = [folder, ...jars.sort().map((name) => join(folder, name))].join(':');
  return [
    `-Xmx${heapMb}m`,
    '-XX:+UseSerialGC',
    // The good compiler takes tens of milliseconds for a method, on a core that messages wait for: at niceness 10 it yields to them.
    ...(quickCompiler ? ['-XX:TieredStopAtLevel=1'] : ['-XX:ThreadPriorityPolicy=1', '-XX:CompilerThreadPriority=10']),
    '-Djava.awt.headless=true',
    `-Dlog4j2.configurationFile=${join(folder, 'log4j2.properties')}`,
    `-Djava.library.path=${folder}`,
    '-cp',
    classPath,
  ];
}
