import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Options of a JVM that runs what lies in `folder`: a small heap, one compiler tier and one collector thread, for an
 * engine that shares a laptop with all the others.
 */
export function javaArgs(folder: string, { heapMb }: { heapMb: number }): string[] {
  const jars = readdirSync(folder).filter((name) => name.endsWith('.jar'));
  const classPath = [folder, ...jars.sort().map((name) => join(folder, name))].join(':');
  return [
    `-Xmx${heapMb}m`,
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    '-Djava.awt.headless=true',
    `-Dlog4j2.configurationFile=${join(folder, 'log4j2.properties')}`,
    `-Djava.library.path=${folder}`,
    '-cp',
    classPath,
  ];
}
