import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { imageFetcher } from '../../src/host/fetch-image.ts';

const TLS = join(import.meta.dirname, '../fixtures/tls');
const [key, ca] = ['key.pem', 'cert.pem'].map((name) => readFileSync(join(TLS, name), 'utf8'));
const never = new AbortController().signal;
const publicHost = async () => [{ address: '93.184.215.14', family: 4 }];

describe('what is never fetched', () => {
  const fetchImage = imageFetcher({ allow: ['*'], resolve: publicHost });

  it.each([
    ['plain http', 'http://images.example/a.jpg'],
    ['a file', 'file:///etc/passwd'],
    ['another port', 'https://images.example:8443/a.jpg'],
    ['a password', 'https://user:secret@images.example/a.jpg'],
    ['loopback', 'https://127.0.0.1/'],
    ['loopback as one decimal number', 'https://2130706433/'],
    ['loopback in octal', 'https://0177.0.0.1/'],
    ['loopback in hexadecimal', 'https://0x7f.1/'],
    ['the metadata service', 'https://169.254.169.254/latest/meta-data/'],
    ['a private network', 'https://10.1.2.3/'],
    ['carrier-grade NAT', 'https://100.64.0.1/'],
    ['IPv6 loopback', 'https://[::1]/'],
    ['IPv4 mapped into IPv6', 'https://[::ffff:169.254.169.254]/'],
    ['IPv4 mapped into IPv6, in hexadecimal', 'https://[::ffff:a9fe:a9fe]/'],
    ['NAT64', 'https://[64:ff9b::a9fe:a9fe]/'],
    ['6to4 around a private address', 'https://[2002:a00:1::1]/'],
    ['IPv6 unique local', 'https://[fd00::1]/'],
    ['IPv6 link-local', 'https://[fe80::1]/'],
    ['the unspecified address', 'https://0.0.0.0/'],
    ['the unspecified address of IPv6', 'https://[::]/'],
    ['loopback with a dot at its end', 'https://127.0.0.1./'],
    ['loopback in two parts', 'https://127.1/'],
    ['loopback in fullwidth digits', 'https://１２７.０.０.１/'],
    ['loopback with enclosed digits', 'https://①②⑦.0.0.1/'],
    ['loopback with escaped dots', 'https://127%2e0%2e0%2e1/'],
    ['the metadata service as one decimal number', 'https://2852039166/'],
    ['the metadata service in hexadecimal', 'https://0xa9fea9fe/'],
    ['the metadata service in mixed radixes', 'https://0xa9.254.0251.0376/'],
    ['the metadata service of IPv6', 'https://[fd00:ec2::254]/'],
    ['IPv4 compatible in IPv6', 'https://[::127.0.0.1]/'],
    ['IPv4 mapped in full length', 'https://[0:0:0:0:0:ffff:7f00:1]/'],
    ['IPv4 translated in IPv6', 'https://[::ffff:0:127.0.0.1]/'],
    ['Teredo', 'https://[2001:0:a9fe:a9fe::1]/'],
    ['multicast', 'https://224.0.0.1/'],
    ['broadcast', 'https://255.255.255.255/'],
    ['the documentation networks', 'https://203.0.113.7/'],
    ['a data URI in place of a host', 'data:text/html,hello'],
    ['another scheme', 'gopher://images.example/'],
  ])('%s', async (_, url) => {
    await expect(fetchImage(url, never)).rejects.toMatchObject({ code: 'url-not-allowed' });
  });

  it('a public name with a private address, also beside a public one', async () => {
    const resolve = async () => [
      { address: '93.184.215.14', family: 4 },
      { address: '192.168.1.1', family: 4 },
    ];
    const fetchImage = imageFetcher({ allow: ['*'], resolve });
    await expect(fetchImage('https://rebind.example/', never)).rejects.toMatchObject({
      code: 'url-not-allowed',
    });
  });

  it('a name that resolves to an address of another spelling of the inside', async () => {
    for (const address of [
      '::1',
      '::ffff:10.0.0.1',
      'fe80::1%eth0',
      '64:ff9b::7f00:1',
      '169.254.169.254',
      'not an address',
    ]) {
      const resolve = async () => [{ address, family: address.includes(':') ? 6 : 4 }];
      await expect(
        imageFetcher({ allow: ['*'], resolve })('https://inside.example/', never),
      ).rejects.toMatchObject({
        code: 'url-not-allowed',
      });
    }
  });

  it('a host that is not on the list, however similar', async () => {
    const fetchImage = imageFetcher({ allow: ['images.test', '*.cdn.test'], resolve: publicHost });
    for (const host of [
      'images.test.evil.example',
      'evilimages.test',
      'cdn.test',
      'xcdn.test',
      'images.test@evil.example',
    ])
      await expect(fetchImage(`https://${host}/`, never)).rejects.toMatchObject({ code: 'url-not-allowed' });
  });
});

describe('fetching', () => {
  let server: Server;
  let port = 0;
  let answer: (request: IncomingMessage, response: ServerResponse) => void = () => {};
  let resolved = 0;
  const options = () => ({
    allow: ['images.test'],
    resolve: async () => {
      resolved++;
      return [{ address: '127.0.0.1', family: 4 }];
    },
    permitted: (address: string) => address === '127.0.0.1',
    tls: { port, ...(ca !== undefined && { ca }) },
  });

  beforeAll(async () => {
    server = createServer({ key, cert: ca }, (request, response) => answer(request, response));
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const address = server.address();
    port = typeof address === 'object' && address ? address.port : 0;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  it('gives the bytes, and resolves the name once for the one connection that it makes', async () => {
    answer = (_, response) => response.end('bytes of an image');
    resolved = 0;
    const bytes = await imageFetcher(options())('https://images.test/a.jpg?signature=secret', never);
    expect(Buffer.from(bytes).toString()).toBe('bytes of an image');
    expect(resolved).toBe(1);
  });

  it('follows a redirect to an allowed host and refuses any other', async () => {
    answer = ({ url }, response) => {
      if (url === '/there') return void response.end('moved');
      response
        .writeHead(302, { Location: url === '/here' ? '/there' : 'https://169.254.169.254/latest' })
        .end();
    };
    const fetchImage = imageFetcher(options());
    expect(Buffer.from(await fetchImage('https://images.test/here', never)).toString()).toBe('moved');
    await expect(fetchImage('https://images.test/away', never)).rejects.toMatchObject({
      code: 'url-not-allowed',
    });
  });

  it('refuses a redirect to plain http, to another port, to a password, and to a name that has moved inside', async () => {
    const targets = [
      'http://images.test/there',
      'https://images.test:8443/there',
      'https://user:secret@images.test/there',
      'https://elsewhere.test/there',
      'file:///etc/passwd',
      '//127.0.0.1/there',
    ];
    answer = ({ url }, response) => {
      if (url === '/there') return void response.end('inside');
      response.writeHead(302, { Location: targets[Number(url?.slice(1))] ?? '/there' }).end();
    };
    for (const index of targets.keys())
      await expect(imageFetcher(options())(`https://images.test/${index}`, never)).rejects.toMatchObject({
        code: 'url-not-allowed',
      });
    // DNS rebinding: the name is public for the first connection and inside for the next one.
    const answers = ['127.0.0.1', '10.0.0.1'];
    const rebinding = { ...options(), resolve: async () => [{ address: answers.shift() ?? '', family: 4 }] };
    await expect(imageFetcher(rebinding)('https://images.test/again', never)).rejects.toMatchObject({
      code: 'url-not-allowed',
    });
    expect(answers).toEqual([]);
  });

  it('gives up on endless redirects, on large answers, on slow ones and on broken ones', async () => {
    answer = (_, response) => void response.writeHead(302, { Location: '/again' }).end();
    const failed = { code: 'image-fetch-failed' };
    await expect(imageFetcher(options())('https://images.test/', never)).rejects.toMatchObject(failed);
    answer = (_, response) => void response.end(Buffer.alloc(2000));
    const small = imageFetcher({ ...options(), maxBytes: 1000 });
    await expect(small('https://images.test/', never)).rejects.toMatchObject({ code: 'body-too-large' });
    answer = (_, response) => void response.write('first');
    const quick = imageFetcher({ ...options(), timeoutMs: 150 });
    await expect(quick('https://images.test/', never)).rejects.toMatchObject(failed);
    answer = (_, response) => {
      response.writeHead(200, { 'Content-Length': '100' });
      response.write('half');
      setTimeout(() => response.destroy(), 20);
    };
    await expect(imageFetcher(options())('https://images.test/', never)).rejects.toMatchObject(failed);
    answer = (_, response) => void response.writeHead(404).end();
    await expect(imageFetcher(options())('https://images.test/', never)).rejects.toMatchObject(failed);
  });

  it('tells nobody the path of a signed URL', async () => {
    answer = (_, response) => void response.writeHead(403).end();
    const outcome = imageFetcher(options())('https://images.test/a?X-Amz-Signature=secret', never);
    await expect(outcome).rejects.toSatisfy((error: Error) => !error.message.includes('secret'));
  });
});
