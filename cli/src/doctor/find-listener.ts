import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const LISTEN = '0A';

/** Who holds a port: undefined where nobody does; `pid` is missing where the system doesn't tell us whose it is. */
export type Listener = { pid?: number; command?: string };

/** Looks in /proc (Linux). */
export function findListener(port: number): Listener | undefined {
  const inodes = new Set([
    ...listeningInodes(readTable('/proc/net/tcp'), port),
    ...listeningInodes(readTable('/proc/net/tcp6'), port),
  ]);
  if (inodes.size === 0) return undefined;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    if (socketsOf(pid).some((inode) => inodes.has(inode))) return { pid: Number(pid), command: commandOf(Number(pid)) };
  }
  return {};
}

/** Inodes of the sockets that listen on the port, from the text of /proc/net/tcp. */
export function listeningInodes(table: string, port: number): string[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  return table.split('\n').flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    const inode = fields[9];
    return fields[1]?.endsWith(`:${wanted}`) && fields[3] === LISTEN && inode !== undefined ? [inode] : [];
  });
}

/** The command line of a process, shortened; empty where it is gone. */
export function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim().slice(0, 80);
  } catch {
    return '';
  }
}

function socketsOf(pid: string): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
      } catch {
        return [];
      }
    });
  } catch {
    // Another user's process, or one that has just ended.
    return [];
  }
}

function readTable(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
