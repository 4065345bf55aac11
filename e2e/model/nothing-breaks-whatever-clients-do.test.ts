import { expectNothingBroken } from './expect-nothing-broken.ts';
import { CLIENTS } from './fault-cases.ts';

expectNothingBroken('whatever clients and operators do breaks no invariant', CLIENTS);
