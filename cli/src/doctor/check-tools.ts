import { execFile } from 'node:child_process';
import { stripVTControlCharacters } from 'node:util';
import { type Check, fail, ok, warn } from './check.ts';

const TOOL_TIMEOUT_MS = 10_000;
const NODE_NEEDED = [20, 19] as const;
const JAVA_NEEDED = 17;

/** Node, Java and Maven: what `npm start` needs. Java and Maven only matter where an engine is to be started. */
export async function checkTools(): Promise<Check[]> {
  const [java, maven] = await Promise.all([outputOf('java', ['-version']), outputOf('mvn', ['--version'])]);
  return [judgeNode(process.versions.node), judgeJava(java), judgeMaven(maven)];
}

export function judgeNode(version: string): Check {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [neededMajor, neededMinor] = NODE_NEEDED;
  const enough = major > neededMajor || (major === neededMajor && minor >= neededMinor);
  return enough ? ok('Node', version) : fail('Node', version, `install Node ${NODE_NEEDED.join('.')} or newer`);
}

/** @param output of `java -version`, undefined where there is none */
export function judgeJava(output: string | undefined): Check {
  const remedy = `sudo apt-get install -y openjdk-17-jre-headless maven, or set KAFKA_BROKERS and DYNAMODB_ENDPOINT to engines that run elsewhere`;
  const version = output && /version "(\d+)(?:\.(\d+))?/.exec(output);
  if (!version) return fail('Java', 'not found', remedy);
  // 1.8 is what Java 8 calls itself.
  const major = version[1] === '1' ? Number(version[2]) : Number(version[1]);
  return major >= JAVA_NEEDED ? ok('Java', String(major)) : fail('Java', `${major}, ${JAVA_NEEDED} is needed`, remedy);
}

/** @param output of `mvn --version`, undefined where there is none */
export function judgeMaven(output: string | undefined): Check {
  const version = output && /Apache Maven (\S+)/.exec(output)?.[1];
  if (!version) return warn('Maven', 'not found', 'sudo apt-get install -y maven: it fetches the engines once');
  return ok('Maven', version);
}

/** What the tool prints on both channels, or undefined where it is not installed or fails. */
function outputOf(command: string, args: string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(command, args, { timeout: TOOL_TIMEOUT_MS }, (error, stdout, stderr) =>
      resolve(error ? undefined : stripVTControlCharacters(`${stdout}${stderr}`)),
    );
  });
}
