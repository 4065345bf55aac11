import { parseSize } from './options.ts';
import { plan } from './plan.ts';
import { render } from './render.ts';

const BLOCK = /```text\n\$ npm run capacity -- (.*)\n[\s\S]*?```/g;

/** A page with each of its `npm run capacity` blocks showing what the program says now, and how many of them there are. */
export function rewritten(markdown: string): { markdown: string; blocks: number } {
  let blocks = 0;
  const text = markdown.replace(BLOCK, (_, args: string) => {
    blocks++;
    return `\`\`\`text\n$ npm run capacity -- ${args}\n${render(plan(parseSize(args.split(' '))))}\n\`\`\``;
  });
  return { markdown: text, blocks };
}
