// Every schema of the JSON Schema test suite (draft 2020-12): what a schema lets through has to be valid for ajv. First texts
// of random tokens (SCHEMA_INSTANCES, the program of tests/model/schema_instances.cpp; COUNT for each schema), then, with
// BASE_URL, answers of a running `talaria serve` at temperature 2 (ANSWERS for each). SCHEMA_SUITE: a checkout of the suite.
// The last line is "N passed, N failed".
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import Ajv from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

const suite = process.env.SCHEMA_SUITE;
const count = process.env.COUNT ?? '60';
const answers = Number(process.env.ANSWERS ?? '2');
const atOnce = 8;

const filesBelow = (folder) =>
  readdirSync(folder).sort().flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesBelow(path) : path.endsWith('.json') ? [path] : [];
  });
const drafts = join(suite, 'tests/draft2020-12');
const files = filesBelow(drafts);
const cases = new Map(files.map((file) => [file, JSON.parse(readFileSync(file, 'utf8'))]));

/// Of each schema anew: ajv keeps what has an $id. Formats are checked, as those that the gateway honours promise more
/// than the draft asks for.
function validatorOf(schema) {
  const ajv = new Ajv({ strict: false, validateFormats: true, logger: false, ownProperties: true });
  addFormats(ajv);
  for (const file of filesBelow(join(suite, 'remotes'))) {
    const remote = JSON.parse(readFileSync(file, 'utf8'));
    const uri = `http://localhost:1234/${relative(join(suite, 'remotes'), file)}`;
    if (/draft(3|4|6|7|2019|-next)/.test(uri)) continue;
    try { ajv.addSchema(remote, uri); } catch { /* one that ajv does not take */ }
  }
  return ajv.compile(schema);
}

let passed = 0;
let failed = 0;
let cut = 0; // answers that were not at their end
const refused = [];
const unknownToAjv = new Set();

function judge(where, validate, text) {
  let why = '';
  try {
    if (validate(JSON.parse(text))) { passed++; return; }
    why = validate.errors.map((e) => `${e.instancePath} ${e.message}`).join('; ');
  } catch (error) { why = error.message; }
  failed++;
  if (failed <= 200) console.log(`FAIL  ${where}: ${text.slice(0, 200)}: ${why}`);
}

const accepted = [];
const lines = execFileSync(process.env.SCHEMA_INSTANCES, [count, '1', ...files], { maxBuffer: 1 << 30 });
for (const line of lines.toString().trimEnd().split('\n')) {
  const { file, index, refused: why, instances } = JSON.parse(line);
  const each = cases.get(file)[index];
  const where = `${relative(drafts, file)}: ${each.description}`;
  if (why !== undefined) { refused.push(`${where}: ${why}`); continue; }
  let validate;
  try { validate = validatorOf(each.schema); } catch (error) {
    unknownToAjv.add(`${where}: ${error.message}`);
    continue;
  }
  accepted.push({ where, schema: each.schema, validate });
  for (const text of instances) judge(where, validate, text);
}
console.log(`${accepted.length} schemas accepted and known to ajv, ${refused.length} refused, ${passed + failed} texts of random tokens`);
if (process.env.VERBOSE) for (const each of refused) console.log(`refused  ${each}`);
for (const each of unknownToAjv) console.log(`skipped, ajv does not compile it  ${each}`);

async function answerOf({ where, schema, validate }, seed) {
  const response = await fetch(`${process.env.BASE_URL}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({
      model: process.env.MODEL ?? 'talaria-tiny', messages: [{ role: 'user', content: 'Who are you?' }],
      temperature: 2, seed, max_tokens: 400,
      response_format: { type: 'json_schema', json_schema: { name: 'answer', schema } },
    }),
  });
  const body = await response.json();
  if (response.status !== 200) {
    failed++;
    console.log(`FAIL  ${where}: ${response.status} ${JSON.stringify(body)}`);
  } else if (body.choices[0].finish_reason === 'length') cut++; // strings of a model at temperature 2 can go on for long
  else judge(`${where} (served)`, validate, body.choices[0].message.content);
}

if (process.env.BASE_URL) {
  const before = passed + failed;
  const waiting = accepted.flatMap((each) => Array.from({ length: answers }, (_, seed) => () => answerOf(each, seed)));
  const worker = async () => { for (let next = waiting.pop(); next; next = waiting.pop()) await next(); };
  await Promise.all(Array.from({ length: atOnce }, worker));
  console.log(`${passed + failed - before} answers of the server, ${cut} more cut off at 400 tokens`);
  if (cut * 20 > passed + failed - before) {
    failed++;
    console.log('FAIL  more than one answer in twenty was cut off');
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
