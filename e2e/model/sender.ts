import type { ClientFrame, Connection } from './connection.ts';
import type { Device } from './device.ts';
import { send as sendByHttp } from './http.ts';
import type { Steps } from './scheduler.ts';
import type { World } from './world.ts';

const LONGEST_WAIT = 250;

/** What a device sends: each id again, on either path, until it is accepted. */
export function* sender(world: World, device: Device): Steps {
  const { random } = world;
  const conversations = world.conversationsOf(device.user);
  for (let i = 0; i < world.config.shape.messagesPerDevice; i++) {
    yield random.integer(0, world.config.shape.longestPause);
    const conversation = random.pick(conversations);
    const id = `${device.name}.${i}`;
    const ttl = world.fault('ttl') && random.chance(0.3) ? random.integer(50, 700) : undefined;
    yield* sendUntilAccepted(world, device, {
      t: 'send',
      id,
      conversation,
      content: random.integer(1, 1_000_000),
      ttl,
    });
    if (world.fault('deletion') && random.chance(0.4)) yield* deleteOwn(world, device, id, conversation);
    if (world.fault('membership') && random.chance(0.3))
      yield* changeMembers(world, device, `${device.name}.members.${i}`);
  }
}

function* sendUntilAccepted(
  world: World,
  device: Device,
  frame: Extract<ClientFrame, { t: 'send' | 'delete' }>,
): Steps {
  let used: Connection | undefined;
  while (!device.accepted.has(frame.id)) {
    if (world.fault('http') && world.random.chance(0.5)) {
      yield* sendByHttp(world, device, frame);
      continue;
    }
    yield () => device.isOnline && device.connection !== used;
    used = device.connection;
    used?.fromClient.push(frame);
    yield () => device.accepted.has(frame.id) || device.connection !== used;
  }
}

/** Only what is known to be stored has a position, and can be deleted. */
function* deleteOwn(world: World, device: Device, id: string, conversation: string): Steps {
  const until = world.scheduler.now + LONGEST_WAIT;
  yield () => device.answered.has(id) || world.scheduler.now >= until;
  const answer = device.answered.get(id);
  if (!answer || answer === 'rejected') return;
  yield* sendUntilAccepted(world, device, { t: 'delete', id: `${id}.delete`, conversation, target: answer.position });
}

/** Somebody goes or comes back, as far as whoever asks may say so when it is their turn. */
function* changeMembers(world: World, device: Device, id: string): Steps {
  const groups = world.conversationsOf(device.user).filter((conversation) => conversation.startsWith('grp:'));
  const gateway = world.gateways.find((candidate) => candidate.ready);
  if (!gateway || groups.length === 0) return;
  yield;
  const conversation = world.random.pick(groups);
  const user = world.random.pick(world.users.filter((candidate) => candidate !== device.user));
  const adds = world.random.chance(0.5);
  const change = { added: adds ? user : undefined, removed: adds ? undefined : user };
  world.kafka.appendIncoming(gateway.process, { t: 'members', from: device.user, id, conversation, ...change });
}
