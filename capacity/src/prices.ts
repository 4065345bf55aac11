/**
 * On-demand list prices of us-east-1 in dollars, noted from AWS's public price pages in 2025, without discounts, free tiers,
 * support or tax. Other regions are 0 to 25 % dearer. Look them up again before you sign anything.
 */
export const HOURS = 730;
export const PRICES = {
  fargateVcpuHour: 0.03238,
  fargateGibHour: 0.00356,
  brokerHour: {
    'kafka.m7g.large': 0.204,
    'kafka.m7g.xlarge': 0.408,
    'kafka.m7g.2xlarge': 0.816,
    'kafka.m7g.4xlarge': 1.632,
  },
  brokerGibMonth: 0.1,
  cacheHour: {
    'cache.r7g.large': 0.1752,
    'cache.r7g.xlarge': 0.3496,
    'cache.r7g.2xlarge': 0.6992,
    'cache.r7g.4xlarge': 1.3976,
  },
  tableWriteMillion: 0.625,
  tableReadMillion: 0.125,
  /** Storage, and the same again less a fifth for the backup to any second. */
  tableGibMonth: 0.25,
  backupGibMonth: 0.2,
  balancerHour: 0.0225,
  balancerUnitHour: 0.008,
  natHour: 0.045,
  endpointHour: 0.01,
  internetGib: 0.09,
  crossZoneGib: 0.02,
  pushMillion: 0.5,
  logGib: 0.5,
} as const;

/** Largest last: the smallest that is enough is taken. Memory in GiB as ElastiCache gives it (maxmemory). */
export const CACHE_NODES = [
  { type: 'cache.r7g.large', gib: 13.07 },
  { type: 'cache.r7g.xlarge', gib: 26.32 },
  { type: 'cache.r7g.2xlarge', gib: 52.82 },
  { type: 'cache.r7g.4xlarge', gib: 105.81 },
] as const;

/**
 * `mibPerSecond`: what one broker takes in from clients and replicates twice, with room. AWS publishes no such number for these
 * brokers; this is half of what their network and disks would allow, to be measured before it is relied on.
 */
export const BROKERS = [
  { type: 'kafka.m7g.large', mibPerSecond: 8, partitions: 1000 },
  { type: 'kafka.m7g.xlarge', mibPerSecond: 16, partitions: 1000 },
  { type: 'kafka.m7g.2xlarge', mibPerSecond: 32, partitions: 2000 },
  { type: 'kafka.m7g.4xlarge', mibPerSecond: 64, partitions: 4000 },
] as const;
