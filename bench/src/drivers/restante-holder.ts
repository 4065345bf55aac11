import { messageOf } from '@restante/shared/runtime/errors';
import { RestanteClient } from './restante-client.ts';

/** Started by `Holder`: opens the connections that it is told to, and tells what comes. Ends with who started it. */
export type Hold = { id: string; url: string; device: string; token: string };
export type Told =
  | { id: string; is: 'open' }
  | { id: string; is: 'failed'; why: string }
  | { id: string; is: 'message'; body: string };

const tell = (told: Told): void => void process.send?.(told);

process.on('message', ({ id, url, device, token }: Hold) => {
  RestanteClient.open(url, device, token, { onMessage: (body) => tell({ id, is: 'message', body }) }).then(
    () => tell({ id, is: 'open' }),
    (error: unknown) => tell({ id, is: 'failed', why: messageOf(error) }),
  );
});
process.on('disconnect', () => process.exit());
