// What the scenarios share. BASE_URL: a running `talaria serve`, without a path.
export const baseUrl = process.env.BASE_URL ?? 'http://127.0.0.1:8000';
export const model = process.env.MODEL ?? 'talaria-tiny';
export const question = 'Who are you?';
export const user = [{ role: 'user', content: question }];

/// The arguments of the tests' tool: so narrow that any model can write them.
export const weatherSchema = {
  type: 'object',
  properties: { city: { type: 'string', enum: ['Ulm', 'Bonn'] }, days: { type: 'integer', enum: [1, 2] } },
  required: ['city', 'days'],
  additionalProperties: false,
};

export function expect(condition, what) {
  if (!condition) throw new Error(`expected ${what}`);
}

export function expectEqual(actual, wanted, what) {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${what}: ${a} instead of ${b}`);
}

/// The error that `promise` ends with.
export async function failureOf(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('expected a refusal');
}

export function expectWeather(value) {
  expect(['Ulm', 'Bonn'].includes(value.city) && [1, 2].includes(value.days),
    `arguments of the schema, not ${JSON.stringify(value)}`);
}
