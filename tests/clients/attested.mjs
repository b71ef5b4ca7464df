// An unmodified SDK through `talaria connect`, a cluster whose workers demand evidence, and what is refused.
import fs from 'node:fs';
import path from 'node:path';
import OpenAI from 'openai';
import { expect, expectEqual, failureOf, model, user } from './lib.mjs';
import * as site from './site.mjs';

const prompt = `the launch code is ${'tulip seven '.repeat(20000)}`; // 240 kB: what goes up is then easily told
const connecting = 64 * 1024; // bytes of handshakes, hellos and evidence, at most

const clientOf = url => new OpenAI({ baseURL: `${url}/v1`, apiKey: 'sk-any', maxRetries: 0 });

const ready = (server, port) => site.until('the gateway', () => {
  if (server.child.exitCode !== null) throw new Error(server.log);
  return site.evidence(port);
});

/// A policy for whatever pipeline.yaml the gateway has, written from what it shows.
async function takePolicy() {
  const port = await site.freePort();
  site.write('first.yaml', site.pipeline({ port }));
  const server = site.start('talaria', 'serve', 'first.yaml');
  await site.until('the evidence', async () => {
    const shown = await site.evidence(port);
    if (shown) site.write('evidence.json', shown);
    return shown;
  });
  site.mustTalaria('attest', 'policy', '--from', 'evidence.json', '--simulated-root', 'sim/roots.pem', '--service',
    '127.0.0.1', '--ca', 'certs/ca.pem', '-o', 'shown.yaml');
  await site.stop(server);
  site.write('policy.yaml', site.read('shown.yaml').replace(/^ *host_data:.*\n/m, ''));
}

const otherImage = policy => policy.replace(/measurement: \[(.)/, (_, digit) => `measurement: [${digit === '0' ? '1' : '0'}`);

async function makeSite() {
  site.mustTalaria('certs', 'init', 'certs', '--hosts', '127.0.0.1');
  site.mustTalaria('attest', 'simulate', 'init', 'sim');
  await takePolicy();
  // A worker's policy names no authority for the enclave's certificate: its key is made at each start.
  site.write('owner.yaml', site.read('policy.yaml').replace(/^service:.*\n/m, ''));
  site.write('other_owner.yaml', otherImage(site.read('owner.yaml')));
  site.write('other_image.yaml', otherImage(site.read('policy.yaml')));
  const port = await site.freePort();
  const workers = [];
  for (const columns of ['1/2', '2/2'])
    workers.push(`  - { name: w${columns[0]}, address: "127.0.0.1:${await site.freePort()}", layers: all, columns: ${columns}, `
      + 'require_attestation: owner.yaml }');
  site.write('cluster.yaml', site.pipeline({ port, workers }));
  const server = site.start('talaria', 'launch', 'cluster.yaml');
  await ready(server, port);
  const proxy = await site.connect(port, '--policy', 'policy.yaml', '--receipts', 'receipts', '--receipt-bodies');
  expect(proxy.status === null, `a proxy that runs, not: ${proxy.log}`);
  return { port, proxy };
}

let made;
const setUp = () => (made ??= makeSite());

/// Starts a proxy that must be refused with `status` and `code` before more than a handshake has gone up.
async function refused(relay, policy, status, code) {
  const proxy = await site.connect(relay.port, '--policy', policy);
  expectEqual(proxy.status, status, `the status of: ${proxy.log}`);
  expect(proxy.log.includes(code), `${code} in: ${proxy.log}`);
  expect(relay.connections() > 0 && relay.bytesUp().length < connecting, 'nothing but a handshake on the way up');
}

export default {
  'an answer and a receipt from a cluster that demands evidence': async () => {
    const { proxy } = await setUp();
    const { data, response } = await clientOf(proxy.url).chat.completions
      .create({ model, messages: user, max_tokens: 12, seed: 7 }).withResponse();
    expect(data.choices[0].message.content.length > 0, 'an answer');
    expect(response.headers.get('talaria-attestation').startsWith('SIMULATED'), 'the verdict in the head');
    expect(response.headers.get('talaria-receipt'), 'a receipt in the head');
    const stream = await clientOf(proxy.url).chat.completions
      .create({ model, messages: user, max_tokens: 12, seed: 7, stream: true });
    let text = '';
    for await (const event of stream) text += event.choices[0]?.delta?.content ?? '';
    expectEqual(text, data.choices[0].message.content, 'the streamed text');
  },
  'both receipts hold, and are replayed bit for bit': async () => {
    const kept = () => fs.readdirSync(path.join(site.folder, 'receipts'));
    const receipts = () => kept().filter(name => /-0*[12]\.json$/.test(name) && !name.startsWith('refused')).sort();
    await site.until('two receipts', () => receipts().length === 2, 20);
    const evidence = kept().find(name => name.startsWith('evidence-'));
    const verified = site.talaria('receipt', 'verify', ...receipts().map(name => `receipts/${name}`), '--evidence',
      `receipts/${evidence}`, '--policy', 'policy.yaml', '--allow-simulated');
    expectEqual(verified.status, 10, `the status of: ${verified.stdout}${verified.stderr}`);
    const replayed = site.talaria('receipt', 'replay', `receipts/${receipts()[0]}`, '--model', process.env.TALARIA_MODEL);
    expectEqual(replayed.status, 0, `the status of: ${replayed.stdout}${replayed.stderr}`);
  },
  'another image: refused before a byte of the prompt': async () => {
    const { port } = await setUp();
    const relay = await site.recorder(port);
    await refused(relay, 'other_image.yaml', 8, 'image');
    relay.close();
  },
  'a server that turns into another image under a running proxy': async () => {
    const { port } = await setUp();
    const relay = await site.recorder(port);
    site.write('changing.yaml', site.read('policy.yaml'));
    const proxy = await site.connect(relay.port, '--policy', 'changing.yaml');
    site.write('changing.yaml', site.read('other_image.yaml'));
    proxy.child.kill('SIGHUP');
    await site.until('the refusal', async () => (await site.answers(`${proxy.url}/ready`))?.status === 503);
    const failure = await failureOf(clientOf(proxy.url).completions.create({ model, prompt, max_tokens: 1 }));
    expectEqual([failure.status, failure.type, failure.code], [502, 'attestation_failed', 'image'], 'the refusal');
    expect(relay.bytesUp().length < connecting, 'no byte of 240 kB on the way up');
    await site.stop(proxy);
    relay.close();
  },
  'a relay that ends TLS with a certificate of the same authority': async () => {
    const { port } = await setUp();
    const end = { cert: site.read('certs/127.0.0.1.pem'), key: site.read('certs/127.0.0.1.key'), ca: site.read('certs/ca.pem') };
    const relay = await site.recorder(port, end);
    await refused(relay, 'policy.yaml', 9, 'bound');
    const said = relay.bytesUp().toString('latin1');
    expect(/^(GET|POST) \/v1\/attestation/.test(said), `the request for evidence, not ${said.slice(0, 40)}`);
    expect(!said.includes('tulip') && !said.includes('sk-any'), 'neither prompt nor key among what the relay reads');
    relay.close();
  },
  'a revocation list that has expired': async () => {
    await setUp();
    fs.cpSync(path.join(site.folder, 'sim'), path.join(site.folder, 'old'), { recursive: true });
    site.write('old/index', '');
    site.write('old/openssl.cnf', '[ca]\ndefault_ca=a\n[a]\ndatabase=old/index\ndefault_md=sha384\n');
    site.mustRun('openssl', 'ca', '-gencrl', '-config', 'old/openssl.cnf', '-keyfile', 'old/ark.key', '-cert', 'old/ark.der',
      '-crl_lastupdate', '20260101000000Z', '-crl_nextupdate', '20260201000000Z', '-sigopt', 'rsa_padding_mode:pss',
      '-sigopt', 'rsa_pss_saltlen:digest', '-out', 'old/ark.pem');
    site.mustRun('openssl', 'crl', '-in', 'old/ark.pem', '-outform', 'DER', '-out', 'old/ark.crl');
    const port = await site.freePort();
    site.write('old.yaml', site.pipeline({ port, sim: 'old' }));
    const server = site.start('talaria', 'serve', 'old.yaml');
    await ready(server, port);
    const relay = await site.recorder(port);
    await refused(relay, 'policy.yaml', 6, 'expired');
    relay.close();
    await site.stop(server);
  },
  'a worker whose policy does not match gives no weight': async () => {
    await setUp();
    const [workerPort, port] = [await site.freePort(), await site.freePort()];
    const relay = await site.recorder(workerPort);
    const worker = site.start('talaria-worker', '--model', process.env.TALARIA_MODEL, '--listen', `127.0.0.1:${workerPort}`,
      '--cert', 'certs/127.0.0.1.pem', '--key', 'certs/127.0.0.1.key', '--require-attestation', 'other_owner.yaml',
      '--allow-simulated');
    await site.until('the worker', () => worker.log.includes(String(workerPort)));
    site.write('refused.yaml', site.pipeline({ port, workers: [`  - { name: w, address: "127.0.0.1:${relay.port}", layers: all }`] }));
    const server = site.start('talaria', 'serve', 'refused.yaml');
    expectEqual(await server.ended, 2, `the status of: ${server.log}`);
    expect(server.log.includes('image') && worker.log.includes('refused: image'), `the reason in: ${server.log} ${worker.log}`);
    expect(relay.connections() > 0 && relay.bytesDown() < connecting, 'no weight, hint or product on the way to the enclave');
    await site.stop(worker);
    relay.close();
  },
};

export const tearDown = site.tearDown;
