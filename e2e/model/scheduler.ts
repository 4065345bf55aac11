import type { Random } from './random.ts';

/** What a step waits for: so many ticks, a condition, or nothing but its turn. */
export type Wait = number | (() => boolean) | undefined;
/** A sequence of atomic steps: whatever lies between two yields happens at once, anything may happen at a yield. */
export type Steps<T = void> = Generator<Wait, T, void>;

export type ProcessKind = 'gateway' | 'messaging' | 'notification' | 'clients';
/** One operating system process: SIGKILL ends its tasks, SIGSTOP holds them, its wall clock may be wrong. */
export type Process = { kind: ProcessKind; name: string; alive: boolean; pausedUntil: number; clockOffset: number };

export type Task = {
  process: Process;
  steps: Steps;
  wakeAt: number;
  condition: (() => boolean) | undefined;
  /** A zombie's last moment: it goes on after it lost its partition, but not for ever. */
  stopAt: number;
  done: boolean;
};

const STALL_PROBABILITY = 0.01;
const LONGEST_STALL = 250;
const LONGEST_LEAP = 50;

/** Interleaves the tasks of all processes, one atomic step at a time, as the seed says. A step takes one tick. */
export class Scheduler {
  now = 0;
  steps = 0;
  /** Set in the quiet phase, where no task stalls any more. */
  calm = false;
  readonly processes: Process[] = [];
  private readonly tasks: Task[] = [];
  private readonly random: Random;

  constructor(random: Random) {
    this.random = random;
  }

  process(kind: ProcessKind, name: string): Process {
    const process: Process = { kind, name, alive: true, pausedUntil: 0, clockOffset: 0 };
    this.processes.push(process);
    return process;
  }

  spawn(process: Process, steps: Steps): Task {
    const task: Task = {
      process,
      steps,
      wakeAt: 0,
      condition: undefined,
      stopAt: Number.POSITIVE_INFINITY,
      done: false,
    };
    this.tasks.push(task);
    return task;
  }

  kill(process: Process): void {
    process.alive = false;
    for (let i = this.tasks.length - 1; i >= 0; i--) {
      if (this.tasks[i]?.process === process) this.remove(i);
    }
  }

  running(kind: ProcessKind): Process[] {
    return this.processes.filter(
      (process) => process.kind === kind && process.alive && this.now >= process.pausedUntil,
    );
  }

  /** One atomic step of a task that can take one; where none can, time goes on to when one may. */
  step(): void {
    this.steps++;
    const index = this.pickReady();
    const task = this.tasks[index];
    if (task === undefined) {
      this.now = this.nextWake();
      return;
    }
    this.now++;
    if (this.now >= task.stopAt) {
      this.remove(index);
      return;
    }
    task.condition = undefined;
    const result = task.steps.next();
    if (result.done) this.remove(this.tasks.indexOf(task));
    else if (typeof result.value === 'number') task.wakeAt = this.now + result.value;
    else {
      task.condition = result.value;
      if (!this.calm && this.random.chance(STALL_PROBABILITY))
        task.wakeAt = this.now + this.random.integer(1, LONGEST_STALL);
    }
  }

  private pickReady(): number {
    const count = this.tasks.length;
    const roll = this.random.next() * count;
    const start = Math.floor(roll);
    // Through the list in strides that the seed picks, so that whoever follows an idle task gets no more turns than others.
    const stride = STRIDES[Math.floor((roll - start) * STRIDES.length)] as number;
    const pace = count % stride === 0 ? 1 : stride;
    for (let i = 0, at = start; i < count; i++, at = (at + pace) % count) {
      if (this.ready(this.tasks[at] as Task)) return at;
    }
    return -1;
  }

  private ready(task: Task): boolean {
    const { now } = this;
    return now >= task.wakeAt && now >= task.process.pausedUntil && (task.condition === undefined || task.condition());
  }

  private nextWake(): number {
    let earliest = this.now + LONGEST_LEAP;
    for (const task of this.tasks) {
      const at = Math.max(task.wakeAt, task.process.pausedUntil);
      if (at > this.now && at < earliest) earliest = at;
    }
    return earliest;
  }

  private remove(index: number): void {
    const task = this.tasks[index];
    if (task === undefined) return;
    task.done = true;
    const last = this.tasks.pop() as Task;
    if (last !== task) this.tasks[index] = last;
  }
}

const STRIDES = [7, 11, 13, 17, 19, 23];
