/** Takes a line about what is going on, for whoever waits for it. */
export type Report = (line: string) => void;
