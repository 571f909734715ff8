import { once } from 'node:events';
import { Agent, request } from 'node:http';
import sharp from 'sharp';
import { createModel } from '../../src/engine/index.ts';
import { startServer } from '../../src/host/index.ts';
import { memoryStore } from '../../src/storage/index.ts';
import { sharpDecoder } from '../../src/vit/node.ts';
import { benchLadder, increments } from '../common/ladder.ts';
import { type Contestant, type Measurement, type Rounds, race, timed } from '../common/race.ts';
import type { Network } from './networks.ts';
import { publish } from './publish.ts';

/** A request with a 500 x 375 JPEG over loopback, against decoding and the engine alone in the same process. */
export async function measureHttp(network: Network, rounds: Rounds): Promise<Measurement[]> {
  const { config, tensors, name } = network;
  const store = memoryStore();
  const ladder = benchLadder(config, [0.5], []);
  await publish(store, network, ladder);
  const server = await startServer({ store, port: 0, workers: 1, pollMs: 0 });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const engine = await createModel({
    config,
    variants: ladder.map(({ variant }) => variant),
    device: 'cpu',
    workers: 1,
    precisions: ['fp32', 'int8'],
  });
  try {
    await server.loaded();
    for (const increment of increments(config, tensors, engine.variants)) await engine.install(increment);
    const image = await noise(500, 375);
    const decoder = sharpDecoder({ accuracy: 'fast' });
    // The gateway takes the quicker precision where both are as faithful: so does its peer.
    const precision = engine.precisions.includes('int8') ? 'int8' : 'fp32';
    const alone: Contestant = {
      contestant: 'decode + engine',
      level: 'full',
      precision,
      peers: [`decode + engine ${precision}, full`],
      run: () =>
        timed(async () =>
          engine.embed(await decoder.decode(image, config), 1, { level: ladder.length - 1, precision }),
        ),
    };
    const http: Contestant = {
      ...alone,
      contestant: 'HTTP',
      run: () => timed(() => post(server.url, agent, image)),
    };
    return await race({ model: name, batch: 1, threads: 1 }, [alone, http], rounds);
  } finally {
    agent.destroy();
    await server.close();
    await engine.dispose();
  }
}

async function post(url: string, agent: Agent, image: Uint8Array): Promise<void> {
  const headers = {
    'Content-Type': 'image/jpeg',
    'Content-Length': image.length,
    Accept: 'application/octet-stream',
  };
  const outgoing = request(`${url}/v1/embed`, { method: 'POST', agent, headers });
  outgoing.end(image);
  const [response] = await once(outgoing, 'response');
  response.resume();
  await once(response, 'end');
  if (response.statusCode !== 200) throw new Error(`The gateway answered ${response.statusCode}.`);
}

/** A JPEG with the detail of a photograph: blurred noise. */
async function noise(width: number, height: number): Promise<Buffer> {
  const background = { type: 'gaussian' as const, mean: 128, sigma: 60 };
  const create = { width, height, channels: 3 as const, background: '#000', noise: background };
  return await sharp({ create }).blur(1.5).jpeg({ quality: 90 }).toBuffer();
}
