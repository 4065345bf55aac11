/** The package ships no types. */
declare module 'cluster-key-slot' {
  /** The hash slot of a key, its {tag} honoured. */
  export default function calculateSlot(key: string): number;
}
