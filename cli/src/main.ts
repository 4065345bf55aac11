import pc from 'picocolors';
import { type Command, EXIT, type ExitCode, FailedError, type Io, UsageError } from './command.ts';
import { deadLettersCommand } from './commands/dead-letters.ts';
import { doctorCommand } from './commands/doctor.ts';
import { inboxCommand } from './commands/inbox.ts';
import { listenCommand } from './commands/listen.ts';
import { disconnectCommand, drainCommand, noticeCommand, restoreCommand, revokeCommand } from './commands/operator.ts';
import { auditCommand, entriesCommand, userCommand, usersCommand } from './commands/operator-reads.ts';
import { sendCommand } from './commands/send.ts';
import { statusCommand } from './commands/status.ts';
import { tokenCommand } from './commands/token.ts';
import { traceCommand } from './commands/trace.ts';

const COMMANDS: readonly Command[] = [
  tokenCommand,
  sendCommand,
  listenCommand,
  inboxCommand,
  deadLettersCommand,
  statusCommand,
  traceCommand,
  doctorCommand,
  usersCommand,
  userCommand,
  entriesCommand,
  auditCommand,
  disconnectCommand,
  revokeCommand,
  restoreCommand,
  drainCommand,
  noticeCommand,
];

const HELP = `restante: mail kept until called for

Usage: npx restante <command> [options]

${COMMANDS.map((command) => `  ${command.name.padEnd(14)}${command.summary}`).join('\n')}

\`npx restante <command> --help\` says more, with examples.

A first conversation, after \`npm start\` in another terminal:
  npx restante send alice bob "waiting for you"     bob is offline
  npx restante inbox bob                            it is kept
  npx restante listen bob                           he comes: it arrives

Exit codes: 0 ok, 1 failed, 2 wrong usage.`;

async function main(args: string[], io: Io): Promise<ExitCode> {
  const [name, ...rest] = args;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    const about = COMMANDS.find((command) => command.name === rest[0]);
    io.out(about?.help ?? HELP);
    return name === undefined ? EXIT.usage : EXIT.ok;
  }
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (command === undefined) {
    io.note(
      `restante: no command ${JSON.stringify(name)}; there are ${COMMANDS.map((known) => known.name).join(', ')}`,
    );
    return EXIT.usage;
  }
  // Only before a `--`, and never the text of a message.
  if (rest.includes('--help') || rest.includes('-h')) {
    io.out(command.help);
    return EXIT.ok;
  }
  return runCommand(command, rest, io);
}

async function runCommand(command: Command, args: string[], io: Io): Promise<ExitCode> {
  try {
    return await command.run(args, io);
  } catch (error) {
    if (error instanceof UsageError) {
      io.note(`restante ${command.name}: ${error.message}`);
      io.note(pc.dim(`restante ${command.name} --help shows the usage`));
      return EXIT.usage;
    }
    io.note(`${pc.red(`restante ${command.name}:`)} ${(error as Error).message}`);
    if (error instanceof FailedError && error.remedy !== undefined) io.note(pc.dim(`→ ${error.remedy}`));
    return EXIT.failed;
  }
}

// A reader that has seen enough, as `head`, closes the pipe: that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) =>
  process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.failed),
);
process.exitCode = await main(process.argv.slice(2), {
  env: process.env,
  cwd: process.cwd(),
  terminal: process.stdout.isTTY,
  out: (line) => void process.stdout.write(`${line}\n`),
  note: (line) => void process.stderr.write(`${line}\n`),
});
