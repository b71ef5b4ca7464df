// The `ai` SDK, over its providers for OpenAI, for what is compatible with it, and for Anthropic.
import { generateText, jsonSchema, Output, stepCountIs, streamText, tool } from 'ai';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { z } from 'zod';
import { baseUrl, expect, expectEqual, expectWeather, model, question, weatherSchema } from './lib.mjs';

const baseURL = `${baseUrl}/v1`;
const compatible = createOpenAICompatible({
  name: 'talaria', baseURL, apiKey: 'x', includeUsage: true, supportsStructuredOutputs: true,
});
const openai = createOpenAI({ baseURL, apiKey: 'x' });
const anthropic = createAnthropic({ baseURL, apiKey: 'x' });
const models = {
  'compatible chat': compatible(model),
  'openai chat': openai.chat(model),
  'openai responses': openai.responses(model),
  'anthropic messages': anthropic(model),
};
// Without store: false the provider refers to earlier items instead of sending them, and nothing is stored here.
const providerOptions = { openai: { store: false } };
const asked = { prompt: question, maxRetries: 0, maxOutputTokens: 24, providerOptions };
const weather = tool({
  description: 'Tells the weather.', inputSchema: jsonSchema(weatherSchema), execute: async () => 'sunny',
});
const failing = { onError: ({ error }) => { throw error; } };

const scenarios = {
  'completions': async () => {
    const { text } = await generateText({ model: compatible.completionModel(model), ...asked, prompt: 'In the beginning' });
    expect(text.length > 0, 'text');
  },
  'penalties and top_k': async () => {
    await generateText({ model: compatible(model), ...asked, presencePenalty: 0.1, frequencyPenalty: 0.1, topK: 5, seed: 1 });
  },
};
for (const [name, each] of Object.entries(models)) {
  scenarios[`${name}: text, whole and streamed`] = async () => {
    const whole = await generateText({ model: each, ...asked, temperature: 0 });
    expect(whole.text.length > 0 && whole.usage.outputTokens > 0, 'text and usage');
    const stream = streamText({ model: each, ...asked, temperature: 0, ...failing });
    let text = '';
    for await (const piece of stream.textStream) text += piece;
    expectEqual(text, whole.text, 'the streamed text');
    expectEqual((await stream.usage).outputTokens, whole.usage.outputTokens, 'usage');
  };
  scenarios[`${name}: system and several turns`] = async () => {
    await generateText({
      model: each, maxRetries: 0, maxOutputTokens: 4, providerOptions, system: 'Be brief.',
      messages: [
        { role: 'user', content: 'Hi' }, { role: 'assistant', content: 'Hello' },
        { role: 'user', content: [{ type: 'text', text: question }] },
      ],
    });
  };
  scenarios[`${name}: tools, called and answered`] = async () => {
    const { steps } = await generateText({
      model: each, ...asked, maxOutputTokens: 120, tools: { weather }, toolChoice: 'required', stopWhen: stepCountIs(2),
    });
    expectWeather(steps[0].toolCalls[0].input);
    expectEqual(steps.length, 2, 'steps');
    const stream = streamText({
      model: each, ...asked, maxOutputTokens: 120, tools: { weather }, toolChoice: 'required', ...failing,
    });
    expectEqual((await stream.toolCalls)[0].input, steps[0].toolCalls[0].input, 'streamed arguments');
  };
  scenarios[`${name}: an object`] = async () => {
    const { output } = await generateText({
      model: each, ...asked, maxOutputTokens: 120,
      output: Output.object({ schema: z.object({ answer: z.enum(['yes', 'no']) }) }),
    });
    expect(['yes', 'no'].includes(output.answer), 'an answer of the schema');
  };
}
export default scenarios;
