import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { findProgram, PEERS_BIN } from './versions.ts';

/** Debian packages by the program that they bring. Redis is none of them: only Centrifugo would need it, and no registry reached here has that. */
const PACKAGES = { mosquitto: 'mosquitto', 'rabbitmq-server': 'rabbitmq-server', ejabberdctl: 'ejabberd' } as const;
const NATS = 'github.com/nats-io/nats-server/v2@v2.15.2';

/**
 * Installs what is absent of the peers. Where apt starts the daemons that it installs, they are to be stopped by whoever
 * runs the machine: the harness starts its own, on other ports. @returns the exit code
 */
export function installPeers(): number {
  const absent = Object.entries(PACKAGES).flatMap(([name, debianPackage]) =>
    findProgram(name) === undefined ? [debianPackage] : [],
  );
  let failed = 0;
  if (absent.length > 0) {
    const root = process.getuid?.() === 0 ? [] : ['sudo', '-n'];
    failed +=
      run([...root, 'apt-get', 'update', '-q']) === 0 &&
      run([...root, 'apt-get', 'install', '-y', '-q', '--no-install-recommends', ...absent]) === 0
        ? 0
        : 1;
  }
  if (findProgram('nats-server') === undefined) {
    mkdirSync(PEERS_BIN, { recursive: true });
    failed += run(['go', 'install', NATS], { GOBIN: PEERS_BIN }) === 0 ? 0 : 1;
  }
  for (const name of ['mosquitto', 'rabbitmq-server', 'ejabberdctl', 'nats-server', 'centrifugo']) {
    console.log(`${name.padEnd(16)} ${findProgram(name) ?? 'absent'}`);
  }
  return failed === 0 ? 0 : 1;
}

function run([command, ...args]: string[], env: Record<string, string> = {}): number {
  console.log(`$ ${[...Object.entries(env).map(([name, value]) => `${name}=${value}`), command, ...args].join(' ')}`);
  return (
    spawnSync(command as string, args, {
      stdio: 'inherit',
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', ...env },
    }).status ?? 1
  );
}
