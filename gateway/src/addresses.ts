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

/**
 * Where a client is. Behind a load balancer that is what the balancer has put last into X-Forwarded-For: what stands before it
 * the client may have made up.
 */
export function addressOf(remote: string, forwardedFor: string, trustsForwardedFor: boolean): string {
  const last = forwardedFor.split(',').at(-1)?.trim();
  return trustsForwardedFor && last ? last : remote;
}
