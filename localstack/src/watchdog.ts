import { type ChildProcess, spawn } from 'node:child_process';

/**
 * Ends our children when we are gone, however we went. One small shell holds a pipe from this process: the kernel closes
 * it at our death, SIGKILL too, and the shell then kills every group that it was told of. Works wherever there is /bin/sh.
 */
const SCRIPT = `
trap '' HUP INT TERM QUIT
pids=' '
while read -r op pid; do
  case "$op" in
    +) pids="$pids$pid " ;;
    -) case "$pids" in *" $pid "*) pids="\${pids%%" $pid "*} \${pids#*" $pid "}" ;; esac ;;
  esac
done
for pid in $pids; do kill -KILL "-$pid"; done 2>/dev/null
`;

let watchdog: ChildProcess | undefined;
const watched = new Set<number>();

/** Has the process group `pid` killed when this process ends. */
export function watch(pid: number): void {
  watched.add(pid);
  if (watchdog) watchdog.stdin?.write(`+ ${pid}\n`);
  else watchdog = startWatchdog();
}

/** To be called once a group has ended: its number may be given to others. */
export function unwatch(pid: number): void {
  if (watched.delete(pid)) watchdog?.stdin?.write(`- ${pid}\n`);
}

function startWatchdog(): ChildProcess {
  const shell = spawn('/bin/sh', ['-c', SCRIPT], { detached: true, cwd: '/', stdio: ['pipe', 'ignore', 'ignore'] });
  for (const pid of watched) shell.stdin.write(`+ ${pid}\n`);
  shell.stdin.on('error', () => {});
  shell.on('error', () => {});
  shell.once('exit', () => {
    if (watchdog === shell) watchdog = watched.size > 0 ? startWatchdog() : undefined;
  });
  // It must not keep this process alive: it waits for our end.
  shell.unref();
  (shell.stdin as unknown as { unref(): void }).unref();
  return shell;
}
