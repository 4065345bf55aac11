import pc from 'picocolors';
import { callHttp } from '../call-http.ts';
import {
  type Command,
  EXIT,
  integerOption,
  parseCommandLine,
  TARGET_HELP,
  TARGET_OPTIONS,
  UsageError,
} from '../command.ts';
import { deviceOption } from '../device-option.ts';
import type { InboxEntry } from '../frames.ts';
import { count, renderFrame } from '../render.ts';
import { pickGateway, resolveTarget, tokenFor } from '../target.ts';

type SyncPage = { gen: number; acked: number; tail: number; entries: InboxEntry[]; more: boolean };

export const inboxCommand: Command = {
  name: 'inbox',
  summary: 'show what waits for a device, without taking anything out',
  help: `Usage: restante inbox <user> [--device cli] [--limit 50]

Asks GET /v1/messages/sync, as a device does that a push woke. Nothing is acknowledged
and nothing is taken out; but a device that was unknown is one from then on.

  -d, --device D   which device's view   (default cli)
      --limit N    entries in the page   (default 50)

${TARGET_HELP}

Examples:
  npx restante inbox bob
  npx restante inbox bob --json | jq '.entries[].id'`,
  async run(args, io) {
    const options = { ...TARGET_OPTIONS, device: { type: 'string', short: 'd' }, limit: { type: 'string' } } as const;
    const { values, positionals } = parseCommandLine(args, options, 1);
    const user = positionals[0];
    if (user === undefined) throw new UsageError('whose inbox? restante inbox <user>');
    const device = deviceOption(values.device);
    const limit = integerOption('limit', values.limit, 50, 1);
    const target = resolveTarget(values, io.env, io.cwd);
    const gateway = pickGateway(target, values.gateway, 'last');
    const token = await tokenFor(target, user);
    const page = (await callHttp(
      gateway,
      token,
      'GET',
      `/v1/messages/sync?device=${device}&limit=${limit}`,
    )) as SyncPage;
    if (values.json === true) io.out(JSON.stringify(page));
    else for (const line of renderPage(page, user, device)) io.out(line);
    return EXIT.ok;
  },
};

function renderPage(page: SyncPage, user: string, device: string): string[] {
  const waiting = page.tail - page.acked;
  const head = `${pc.bold(`${user} on ${device}`)}: ${waiting === 0 ? 'nothing waits' : `${count(waiting, 'entry', 'entries')} unacknowledged`} ${pc.dim(`(generation ${page.gen}, acked ${page.acked}, tail ${page.tail})`)}`;
  const lines = page.entries.map((entry) => renderFrame(entry, user, pc)).filter((line) => line !== undefined);
  return page.more
    ? [head, ...lines, pc.dim(`… and more: --limit, or \`restante listen ${user} --device ${device}\``)]
    : [head, ...lines];
}
