// OpenAI's own SDK: chats, completions and responses.
import OpenAI from 'openai';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import {
  baseUrl, expect, expectEqual, expectWeather, failureOf, model, question, user, weatherSchema,
} from './lib.mjs';

const client = new OpenAI({ baseURL: `${baseUrl}/v1`, apiKey: 'sk-any', maxRetries: 0 });
const chat = more => client.chat.completions.create({ model, messages: user, max_tokens: 24, ...more });
const respond = more =>
  client.responses.create({ model, input: question, max_output_tokens: 24, ...more });
const weather = {
  type: 'function',
  function: { name: 'weather', description: 'Tells the weather.', parameters: weatherSchema },
};
const flatWeather = {
  type: 'function', name: 'weather', description: 'Tells the weather.', parameters: weatherSchema, strict: true,
};
const Answer = z.object({ answer: z.enum(['yes', 'no']) });

async function collect(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

export default {
  'a chat, whole and streamed': async () => {
    const whole = await chat();
    const pieces = await collect(await chat({ stream: true, stream_options: { include_usage: true } }));
    const text = pieces.map(p => p.choices[0]?.delta?.content ?? '').join('');
    expectEqual(text, whole.choices[0].message.content, 'the streamed text');
    expectEqual(pieces.at(-1).usage.total_tokens, whole.usage.total_tokens, 'usage');
    expect(whole._request_id, 'a request id');
  },
  'the stream helper': async () => {
    const final = await client.chat.completions.stream({ model, messages: user, max_tokens: 24 }).finalContent();
    expectEqual(final, (await chat()).choices[0].message.content, 'the final content');
  },
  'roles, names and parts': async () => {
    await chat({
      max_tokens: 1,
      messages: [
        { role: 'developer', content: 'Be brief.' },
        { role: 'user', name: 'bob', content: [{ type: 'text', text: 'Hi' }] },
        { role: 'assistant', content: null, refusal: null, tool_calls: [
          { id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }] },
        { role: 'tool', tool_call_id: 'a', content: 'sunny' },
      ],
    });
  },
  'n, logprobs, penalties and logit_bias': async () => {
    const { choices } = await chat({
      n: 2, temperature: 1, seed: 3, logprobs: true, top_logprobs: 2, max_tokens: 4,
      presence_penalty: 0.5, frequency_penalty: 0.5, logit_bias: { 5: -100 },
    });
    expectEqual(choices.length, 2, 'choices');
    expectEqual(choices[0].logprobs.content[0].top_logprobs.length, 2, 'scores of others');
  },
  'parse with a zod schema': async () => {
    const { choices } = await client.chat.completions.parse({
      model, messages: user, max_tokens: 60, response_format: zodResponseFormat(Answer, 'answer'),
    });
    Answer.parse(choices[0].message.parsed);
  },
  'a forced call, whole and streamed': async () => {
    const more = { tools: [weather], tool_choice: 'required', max_tokens: 200 };
    const [call] = (await chat(more)).choices[0].message.tool_calls;
    expectEqual(call.function.name, 'weather', 'the name');
    expectWeather(JSON.parse(call.function.arguments));
    const stream = client.chat.completions.stream({ model, messages: user, ...more });
    const [streamed] = (await stream.finalMessage()).tool_calls;
    expectEqual(streamed.function.arguments, call.function.arguments, 'streamed arguments');
  },
  'tools that the model need not call': async () => {
    const runner = client.chat.completions.runTools({
      model, messages: user, max_tokens: 16,
      tools: [{ type: 'function', function: { ...weather.function, function: () => 'sunny', parse: JSON.parse } }],
    });
    expect((await runner.finalContent()) !== undefined, 'an answer');
  },
  'completions of text, of lists and of ids': async () => {
    const { choices } = await client.completions.create({ model, prompt: ['In the', 'Once'], max_tokens: 4 });
    expectEqual(choices.map(c => c.index), [0, 1], 'choices');
    const [{ text }] = (await client.completions.create({ model, prompt: 'In the', max_tokens: 4 })).choices;
    expectEqual(text, choices[0].text, 'the text');
    await client.completions.create({ model, prompt: [100, 200], max_tokens: 2 });
  },
  'models': async () => {
    expectEqual((await client.models.list()).data[0].id, model, 'the model');
    expectEqual((await client.models.retrieve(model)).id, model, 'the model');
    expect((await failureOf(client.models.retrieve('other'))) instanceof OpenAI.NotFoundError, 'a 404');
  },
  'errors have their classes and codes': async () => {
    const unknown = await failureOf(chat({ model: 'gpt-4o' }));
    expect(unknown instanceof OpenAI.NotFoundError, 'a 404');
    expectEqual(unknown.code, 'model_not_found', 'the code');
    const long = await failureOf(chat({ messages: [{ role: 'user', content: 'word '.repeat(5000) }] }));
    expectEqual(long.code, 'context_length_exceeded', 'the code');
    const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,AA' } };
    const refused = await failureOf(chat({ messages: [{ role: 'user', content: [image] }] }));
    expect(refused instanceof OpenAI.BadRequestError, 'a 400');
  },
  'embeddings of a model that writes are refused': async () => {
    const refused = await failureOf(client.embeddings.create({ model, input: 'a text' }));
    expect(refused instanceof OpenAI.BadRequestError, 'a 400');
    expect(refused.message.includes('task: embed'), 'what would help');
  },
  'a response, whole and streamed': async () => {
    const whole = await respond();
    expectEqual(whole.output_text, (await chat()).choices[0].message.content, 'the text of a chat');
    const events = await collect(await respond({ stream: true }));
    expectEqual(events.map(e => e.sequence_number), events.map((_, i) => i), 'sequence numbers');
    const text = events.filter(e => e.type === 'response.output_text.delta').map(e => e.delta).join('');
    expectEqual(text, whole.output_text, 'the streamed text');
    expect(['response.completed', 'response.incomplete'].includes(events.at(-1).type), 'an end');
    expectEqual(events.at(-1).response.usage.output_tokens, whole.usage.output_tokens, 'usage');
  },
  'the helper for streamed responses': async () => {
    const stream = client.responses.stream({ model, input: question, max_output_tokens: 24 });
    const final = await stream.finalResponse();
    expectEqual(final.output_text, (await respond()).output_text, 'the text');
  },
  'a response with a schema': async () => {
    const { output_parsed: parsed } = await client.responses.parse({
      model, input: question, max_output_tokens: 60, text: { format: zodTextFormat(Answer, 'answer') },
    });
    Answer.parse(parsed);
  },
  'a response that calls, and its result': async () => {
    const more = { tools: [flatWeather], tool_choice: 'required', max_output_tokens: 200, parallel_tool_calls: false };
    const first = await respond(more);
    const call = first.output.find(item => item.type === 'function_call');
    expectWeather(JSON.parse(call.arguments));
    const input = [
      { role: 'user', content: question }, ...first.output,
      { type: 'function_call_output', call_id: call.call_id, output: 'sunny' },
    ];
    expectEqual((await respond({ input, tools: [flatWeather] })).object, 'response', 'the object');
    const events = await collect(await respond({ ...more, stream: true }));
    const streamed = events.filter(e => e.type === 'response.function_call_arguments.delta');
    expectEqual(streamed.map(e => e.delta).join(''), call.arguments, 'streamed arguments');
  },
  'nothing is stored': async () => {
    expectEqual((await respond({ store: false })).store, false, 'store');
    expectEqual((await failureOf(respond({ store: true }))).param, 'store', 'the field');
    expectEqual((await failureOf(respond({ previous_response_id: 'resp_1' }))).param, 'previous_response_id', 'the field');
  },
  'a stream that the client ends': async () => {
    const abort = new AbortController();
    let pieces = 0;
    try {
      const stream = await chat({ stream: true, max_tokens: 400, ignore_eos: true });
      for await (const _ of stream) if (++pieces === 5) { stream.controller.abort(); abort.abort(); }
    } catch { /* how it ends is the SDK's business */ }
    expect(pieces >= 5, 'five pieces');
    await chat({ max_tokens: 1 });
  },
};
