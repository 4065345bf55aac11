import type { HttpRequest, HttpResponse, TemplatedApp } from 'uws-current';
import { countLimited } from './guard.ts';
import { RateLimits } from './rate-limit.ts';

/** How many connections each address has, for a bound on them. */
export class Addresses {
  readonly #open = new Map<string, number>();

  count(address: string): number {
    return this.#open.get(address) ?? 0;
  }

  opened(address: string): void {
    this.#open.set(address, this.count(address) + 1);
  }

  closed(address: string): void {
    const left = this.count(address) - 1;
    if (left > 0) this.#open.set(address, left);
    else this.#open.delete(address);
  }
}

/** Connections of one address that are taken at once, as a multiple of what is taken in a second. */
const ACCEPT_BURST = 10;

/**
 * Closes connections unread where one address opens too many: those who say nothing, or speak drop by drop, hold no more than what they may open
 * in the ten seconds that uWebSockets gives a request. It does not tell whose connection has ended, so their number can't be the bound.
 */
export function boundAccepts(app: Pick<TemplatedApp, 'filter'>, perSecond: number): void {
  const accepts = new RateLimits(perSecond, perSecond * ACCEPT_BURST);
  const opened = (response: HttpResponse): void => {
    const address = Buffer.from(response.getRemoteAddress()).toString('latin1');
    if (accepts.take(address, Date.now()) === 0) return;
    countLimited('RATE_ACCEPT_PER_ADDRESS');
    response.close();
  };
  app.filter((response, change) => (Number(change) > 0 ? opened(response) : undefined));
}

/**
 * Where a client is. Behind a load balancer that is what the balancer has put last into X-Forwarded-For: what stands before it
 * the client may have made up.
 */
export function addressOf(remote: string, forwardedFor: string, trustsForwardedFor: boolean): string {
  const last = forwardedFor.split(',').at(-1)?.trim();
  return trustsForwardedFor && last ? last : remote;
}

/** Where a request comes from: read at once, as all of it. */
export function clientAddress(response: HttpResponse, request: HttpRequest, trustsForwardedFor: boolean): string {
  const remote = Buffer.from(response.getRemoteAddressAsText()).toString();
  return addressOf(remote, request.getHeader('x-forwarded-for'), trustsForwardedFor);
}
