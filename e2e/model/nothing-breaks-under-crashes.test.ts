import { expectNothingBroken } from './expect-nothing-broken.ts';
import { CRASHES } from './fault-cases.ts';

expectNothingBroken('processes that crash, pause and lose what they send break no invariant', CRASHES);
