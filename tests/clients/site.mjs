// A cluster on the simulated platform: a gateway with evidence, two workers that demand it, and recorders on the way.
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import tls from 'node:tls';

const bin = process.env.TALARIA_BIN;
const modelFolder = process.env.TALARIA_MODEL;
export const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'talaria-attested-'));
const running = new Set();
const inFolder = { cwd: folder, encoding: 'utf8' };

export function talaria(...words) {
  return spawnSync(path.join(bin, 'talaria'), words, inFolder);
}

export function mustRun(program, ...words) {
  const done = spawnSync(program, words, inFolder);
  if (done.status !== 0) throw new Error(`${program} ${words.join(' ')}: ${done.status} ${done.stderr}`);
  return done.stdout;
}

export const mustTalaria = (...words) => mustRun(path.join(bin, 'talaria'), ...words);

export const write = (name, text) => fs.writeFileSync(path.join(folder, name), text);
export const read = name => fs.readFileSync(path.join(folder, name), 'utf8');

/// Starts a program; `log` grows with what it says.
export function start(program, ...words) {
  const child = spawn(path.join(bin, program), words, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  const started = { child, log: '', ended: new Promise(done => child.once('exit', done)) };
  for (const stream of [child.stdout, child.stderr]) stream.on('data', data => (started.log += data));
  running.add(started);
  return started;
}

export async function stop(started) {
  running.delete(started);
  if (started.child.exitCode === null) started.child.kill('SIGTERM');
  await started.ended;
}

export async function until(what, condition, seconds = 120) {
  for (const end = Date.now() + 1000 * seconds; Date.now() < end; await new Promise(r => setTimeout(r, 100)))
    if (await condition()) return;
  throw new Error(`${what} did not happen within ${seconds} s: ${[...running].map(r => r.log).join('')}`);
}

export async function freePort() {
  const server = net.createServer();
  await new Promise(done => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise(done => server.close(done));
  return port;
}

/// A listener in front of `port` that counts what goes up and down, and keeps what goes up.
/// `end`: { cert, key, ca } ends TLS on both sides, so that what it keeps is plain.
export async function recorder(port, end) {
  const seen = { up: [], down: 0, connections: 0 };
  const join = client => {
    seen.connections++;
    const server = end ? tls.connect({ host: '127.0.0.1', port, ca: end.ca }) : net.connect(port, '127.0.0.1');
    client.on('data', data => seen.up.push(data));
    server.on('data', data => (seen.down += data.length));
    client.pipe(server).pipe(client);
    for (const side of [client, server]) side.on('error', () => (client.destroy(), server.destroy()));
  };
  const server = end ? tls.createServer({ ...end, minVersion: 'TLSv1.3' }, join) : net.createServer(join);
  server.on('tlsClientError', () => {});
  await new Promise(done => server.listen(0, '127.0.0.1', done));
  return {
    port: server.address().port,
    bytesUp: () => Buffer.concat(seen.up),
    bytesDown: () => seen.down,
    connections: () => seen.connections,
    close: () => server.close(),
  };
}

/// pipeline.yaml of a gateway with evidence from `sim`; `workers` are lines of the file.
export function pipeline({ port, sim = 'sim', workers = [] }) {
  return [
    `model: ${modelFolder}`,
    'serve:',
    `  listen: "127.0.0.1:${port}"`,
    '  tls: { cert: certs/127.0.0.1.pem, key: certs/127.0.0.1.key }',
    `  attestation: { platform: simulated, folder: ${sim}, required: true }`,
    '  receipts: on',
    ...(workers.length ? ['tls: { ca: certs/ca.pem, identity: ephemeral }', 'workers:', ...workers] : []),
    '',
  ].join('\n');
}

export const answers = async (url, options) => {
  try {
    return await fetch(url, options);
  } catch {
    return null;
  }
};

/// What a gateway shows to whoever asks, as text; null while there is none.
export const evidence = port => new Promise(done => {
  const options = { host: '127.0.0.1', port, path: '/v1/attestation', ca: read('certs/ca.pem') };
  https.get(options, response => {
    let text = '';
    response.on('data', data => (text += data));
    response.on('end', () => done(response.statusCode === 200 ? text : null));
  }).on('error', () => done(null));
});

/// What `talaria connect` makes of a server: a running proxy, or the refusal that it ended with.
export async function connect(port, ...words) {
  const listen = await freePort();
  const proxy = start('talaria', 'connect', `https://127.0.0.1:${port}`, '--allow-simulated', '--listen',
    `127.0.0.1:${listen}`, ...words);
  let status = null;
  proxy.ended.then(code => (status = code));
  proxy.url = `http://127.0.0.1:${listen}`;
  await until('a verdict', async () => status !== null || (await answers(`${proxy.url}/ready`))?.ok);
  return Object.assign(proxy, { status });
}

export async function tearDown() {
  for (const started of [...running]) await stop(started);
  fs.rmSync(folder, { recursive: true, force: true });
}
