import { expectNothingBroken } from './expect-nothing-broken.ts';
import { LOSSES } from './fault-cases.ts';

expectNothingBroken('stores that forget, lag and age, and clocks that are wrong, break no invariant', LOSSES);
