/**
 * The process that decodes pictures which are too much for the gateway's own threads. What goes wrong in it, up to a crash of a codec,
 * is that picture's failure alone. It ends itself when a picture takes more than it may.
 */
import sharp from 'sharp';
import { isProblem } from '../problem/index.ts';
import { sharpDecoder } from '../vit/node.ts';
import { type DecodeCommand, type DecodeLimits, type DecodeReply, EXIT } from './decode-messages.ts';

const LOOK_MS = 50;

const limits = JSON.parse(process.argv[2] ?? '{}') as DecodeLimits; // its owner's
sharp.concurrency(1);
const decoder = sharpDecoder({ accuracy: 'fast' });
let began: NodeJS.CpuUsage | undefined;

// libvips works on another thread: this one looks on.
setInterval(() => {
  if (!began) return;
  const { user, system } = process.cpuUsage(began);
  if ((user + system) / 1000 > limits.cpuMs) process.exit(EXIT.cpu);
  if (process.memoryUsage.rss() > limits.memoryBytes) process.exit(EXIT.memory);
}, LOOK_MS);

process.on('message', async ({ image, config, maxPixels }: DecodeCommand) => {
  began = process.cpuUsage();
  let reply: DecodeReply;
  try {
    reply = { pixels: await decoder.decode(image, config, { maxPixels }) };
  } catch (error) {
    reply = isProblem(error)
      ? { code: error.code, message: error.message, details: error.details }
      : { code: 'undecodable-image', message: 'The image cannot be decoded.', details: {} };
  }
  began = undefined;
  process.send?.(reply);
});
// Nobody is left to decode for.
process.on('disconnect', () => process.exit());
