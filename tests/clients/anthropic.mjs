// Anthropic's own SDK.
import Anthropic from '@anthropic-ai/sdk';
import { baseUrl, expect, expectEqual, expectWeather, failureOf, model, user, weatherSchema } from './lib.mjs';

const client = new Anthropic({ baseURL: baseUrl, apiKey: 'sk-any', maxRetries: 0 });
const ask = more => client.messages.create({ model, max_tokens: 24, messages: user, ...more });
const tools = [{ name: 'weather', description: 'Tells the weather.', input_schema: weatherSchema }];
const forced = { tools, tool_choice: { type: 'tool', name: 'weather' }, max_tokens: 200 };

export default {
  'a message': async () => {
    const message = await ask({ system: 'Be brief.' });
    expectEqual([message.type, message.role, message.content[0].type], ['message', 'assistant', 'text'], 'the shape');
    expect(message.usage.output_tokens > 0, 'usage');
    expect(message._request_id, 'a request id');
  },
  'a stream is the whole': async () => {
    const whole = await ask();
    const final = await client.messages.stream({ model, max_tokens: 24, messages: user }).finalMessage();
    expectEqual(final.content.map(b => b.text), whole.content.map(b => b.text), 'the text');
    expectEqual(final.stop_reason, whole.stop_reason, 'the reason');
    expectEqual(final.usage.output_tokens, whole.usage.output_tokens, 'usage');
  },
  'raw events': async () => {
    const types = [];
    for await (const event of await ask({ stream: true })) types.push(event.type);
    expectEqual([types[0], types[1], ...types.slice(-3)], ['message_start', 'content_block_start',
      'content_block_stop', 'message_delta', 'message_stop'], 'the order');
  },
  'blocks, with cache_control': async () => {
    const block = text => ({ type: 'text', text, cache_control: { type: 'ephemeral' } });
    const plain = await ask({ system: 'Be brief.' });
    const blocks = await ask({ system: [block('Be brief.')], messages: [{ role: 'user', content: [block(user[0].content)] }] });
    expectEqual(blocks.content[0].text, plain.content[0].text, 'the text');
  },
  'a stop sequence': async () => {
    const text = (await ask()).content[0].text;
    const stop = text.slice(3, 6);
    const message = await ask({ stop_sequences: [stop] });
    expectEqual([message.stop_reason, message.stop_sequence], ['stop_sequence', stop], 'the end');
    expectEqual(message.content[0]?.text ?? '', text.slice(0, text.indexOf(stop)), 'the text');
  },
  'max_tokens ends an answer': async () => {
    expectEqual((await ask({ max_tokens: 2 })).stop_reason, 'max_tokens', 'the reason');
  },
  'the use of a tool, and its result': async () => {
    const message = await ask(forced);
    expectEqual(message.stop_reason, 'tool_use', 'the reason');
    const use = message.content.find(block => block.type === 'tool_use');
    expectWeather(use.input);
    await ask({
      tools,
      messages: [...user, { role: 'assistant', content: message.content }, {
        role: 'user', content: [{ type: 'tool_result', tool_use_id: use.id, content: 'sunny' }],
      }],
    });
    const streamed = await client.messages.stream({ model, messages: user, ...forced }).finalMessage();
    expectEqual(streamed.content.find(b => b.type === 'tool_use').input, use.input, 'streamed input');
  },
  'tools that the model need not use': async () => {
    expect((await ask({ tools })).content.length > 0, 'content');
    await ask({ tools, tool_choice: { type: 'none' } });
  },
  'the assistant\'s words are continued': async () => {
    await ask({ messages: [...user, { role: 'assistant', content: 'I am' }] });
  },
  'tokens are counted': async () => {
    const { input_tokens: counted } = await client.messages.countTokens({ model, messages: user, tools });
    const { usage } = await ask({ tools, max_tokens: 1 });
    expectEqual(counted, usage.input_tokens + usage.cache_read_input_tokens, 'tokens');
  },
  'errors have their classes': async () => {
    expect((await failureOf(ask({ model: 'claude' }))) instanceof Anthropic.NotFoundError, 'a 404');
    const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AA' } };
    const refused = await failureOf(ask({ messages: [{ role: 'user', content: [image] }] }));
    expect(refused instanceof Anthropic.BadRequestError, 'a 400');
    expectEqual(refused.error.error.type, 'invalid_request_error', 'the type');
    expect(refused.requestID, 'a request id');
  },
  'models': async () => {
    const { data } = await client.models.list();
    expectEqual([data[0].id, data[0].type], [model, 'model'], 'the model');
    expectEqual((await client.models.retrieve(model)).display_name, model, 'the name');
  },
};
