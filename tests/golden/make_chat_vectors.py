#!/usr/bin/env python3
"""Writes chat_vectors.json: what Jinja2 itself makes of tests/data/chat_templates, set up as
transformers sets it up. Needs jinja2 3.1. Run it again after a template or a conversation changes."""
import json
import pathlib

from jinja2.exceptions import TemplateError
from jinja2.ext import Extension
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

here = pathlib.Path(__file__).resolve().parent


class Generation(Extension):
    """{% generation %}...{% endgeneration %} prints its body."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                      sort_keys=sort_keys)


def raise_exception(message):
    raise TemplateError(message)


environment = ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", Generation])
environment.filters["tojson"] = tojson
environment.globals["raise_exception"] = raise_exception
# strftime_now is left out: templates that ask for it have a fixed date for this case.

conversations = [
    [("user", "Hello")],
    [("user", "  spaces around \n")],
    [("system", "You are terse."), ("user", "Hi")],
    [("system", " padded system \n"), ("user", "Hi"), ("assistant", " Hello. "), ("user", "More")],
    [("user", "1+1?"), ("assistant", "2"), ("user", "2+2?")],
    [("user", "1+1?"), ("assistant", "<think>\nadd\n</think>\n\n2")],
    [("user", "q"), ("assistant", "<think>\nr\n</think>\n\na"), ("user", "again"),
     ("assistant", "<think>s</think>b")],
    [("user", "a"), ("user", "b")],
    [("assistant", "I begin"), ("user", "ok")],
    [("user", "quotes ' \" \\ {{ braces }} {% tags %}"), ("assistant", "é漢😀\u2028\u0001")],
    [("user", ""), ("assistant", ""), ("user", "")],
    [("user", "x"), ("tool", "42"), ("tool", "43"), ("assistant", "done")],
    [("user", "<tool_response>1</tool_response>"), ("assistant", "y")],
    [("system", "only system")],
    [],
]

constructs = {
    "for else": "{% for x in [] %}a{% else %}b{% endfor %}",
    "loop variables": "{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}"
                      "{{ loop.first }}{{ loop.last }}{{ loop.length }};{% endfor %}",
    "filtered loop": "{% for m in messages if m.role != 'system' %}{{ loop.index }}{{ m.role }}"
                     "{% endfor %}",
    "loop controls": "{% for i in range(9) %}{% if i == 1 %}{% continue %}{% elif i > 3 %}{% break %}"
                     "{% endif %}{{ i }}{% endfor %}",
    "scopes": "{% set x = 0 %}{% for i in range(3) %}{% set x = x + 1 %}{{ x }}{% endfor %}{{ x }}",
    "namespace": "{% set ns = namespace(n=1) %}{% for i in range(3) %}{% set ns.n = ns.n * 2 %}"
                 "{% endfor %}{{ ns.n }}",
    "block set": "{% set x %}<{{ messages|length }}>{% endset %}{{ x ~ x }}",
    "macro": "{% macro m(a, b='q') %}[{{ a }}|{{ b }}|{{ y }}]{% endmacro %}{% set y = 3 %}"
             "{{ m(1) }}{{ m(b=2) }}{{ m('x', b='y') }}",
    "unpacking": "{% for k, v in {'a': 1, 'b': none}.items() %}{{ k }}={{ v }};{% endfor %}"
                 "{% set p, q = 1, 'z' %}{{ p }}{{ q }}",
    "slices": "{{ [1,2,3,4,5][1:-1] }}{{ [1,2,3][::-1] }}{{ 'abcdef'[::2] }}{{ 'añb'[-2] }}"
              "{{ (1,2)[0:1] }}{{ [1,2,3][10:0:-2] }}",
    "printing": "{{ none }}{{ true }}{{ 7 }}{{ [1, 'a', \"it's\", 'q\"', none, true, 'é\\n'] }}"
                "{{ {'k': (1,)} }}{{ nothing }}",
    "arithmetic": "{{ 7 // 2 }}{{ -7 // 2 }}{{ -7 % 3 }}{{ 2 + 3 * 4 - 1 }}{{ 'a' * 3 }}"
                  "{{ 1 ~ 2 ~ none }}{{ [1] + [2] }}",
    "comparison": "{{ 1 < 2 < 3 }}{{ 1 < 3 < 2 }}{{ 'a' < 'b' }}{{ 1 == true }}{{ '1' == 1 }}"
                  "{{ 'x' in 'axb' }}{{ 2 not in [1] }}{{ 'k' in {'k': 1} }}{{ [1] == [1] }}",
    "logic": "{{ '' or 'b' }}{{ 'a' and 0 }}{{ not [] }}{{ 'y' if nothing else 'n' }}"
             "{{ 'y' if false }}{{ nothing is defined }}{{ not nothing is defined }}",
    "tests": "{{ 'a' is string }}{{ [] is sequence }}{{ {} is mapping }}{{ 1 is number }}"
             "{{ true is boolean }}{{ none is none }}{{ 4 is even }}{{ 4 is odd }}{{ 9 is divisibleby 3 }}"
             "{{ tools is not none }}{{ 'a' is iterable }}{{ 1 is iterable }}{{ false is false }}",
    "filters": "{{ ' a ' | trim }}{{ 'aXb' | upper | lower }}{{ [3,1] | join('-') }}"
               "{{ 'abc' | first }}{{ [1,2] | last }}{{ 'ab' | list }}{{ 5 | string | length }}"
               "{{ '42' | int + 1 }}{{ 'x' | int(7) }}{{ nothing | default('d') }}"
               "{{ '' | default('e', true) }}{{ 'a-b' | replace('-', '+') }}{{ 'hello world' | title }}"
               "{{ 'hELLO' | capitalize }}{{ 'abc' | reverse }}{{ {'a': 1} | items | list }}",
    "attribute filters": "{{ messages | map(attribute='role') | join(',') }}"
                         "{{ messages | selectattr('role', 'equalto', 'user') | list | length }}"
                         "{{ messages | rejectattr('role', 'in', ['user']) | list | length }}"
                         "{{ [1, none, 2] | reject('none') | list }}{{ ['a', 'b'] | map('upper') | list }}",
    "tojson": "{{ {'a': [1, true, none], 'é': '\"\\n\\u2028'} | tojson }}"
              "{{ [{'a': 1}, [], {}] | tojson(indent=2) }}",
    "string methods": "{{ ' x '.strip() }}|{{ 'xxaxx'.strip('x') }}|{{ ' a'.lstrip() }}|{{ 'a\\n\\n'.rstrip('\\n') }}|"
                      "{{ 'a b  c'.split() }}|{{ 'a,b,,c'.split(',') }}|{{ 'a,b,c'.split(',', 1)[-1] }}|"
                      "{{ 'abc'.startswith('ab') }}|{{ 'abc'.endswith(('x', 'bc')) }}|{{ \"they're a1b\".title() }}|"
                      "{{ 'abca'.replace('a', 'z', 1) }}|{{ '-'.join(['a', 'b']) }}|{{ 'abc'.find('c') }}|"
                      "{{ 'ÀÉß'.upper() }}|{{ 'ÀÉ'.lower() }}|{{ 'abcb'.count('b') }}",
    "literals": "{{ 'a' 'b' \"c\" }}{{ '\\x41\\u00e9\\101' }}{{ [1, 2,] }}{{ () }}{{ {} }}{{ (1) }}"
                "{{ True and None is none }}",
    "whitespace": "a\n  {% if true %}\n  b\n  {%- endif %}\n c {#- comment -#} d\n"
                  "  {# alone #}\n  {{ 1 }}  \n\n  {%+ if true +%}\n e{% endif %}\n\n",
    "windows newlines": "a\r\n{% if true %}\r\nb\r{% endif %}\r\nc\r\n",
    "dots in strings": "{{ '}}' }}{{ '%}' }}{{ {'a': {'b': 1}}['a'].b }}",
    "generation": "{% for m in messages %}{% generation %}{% set k = m.role %}{{ k }}{% endgeneration %}"
                  "{{ k }}{% endfor %}",
    "ternary in output": "{{ 'sys' if messages and messages[0].role == 'system' else 'none' }}",
    "undefined attributes": "{{ messages[0].nothing is defined }}{{ 'abc'.nothing }}{{ [1][5] }}",
    "elif chain": "{% for i in range(4) %}{% if i == 0 %}z{% elif i == 1 %}o{% elif i == 2 %}t{% else %}m"
                  "{% endif %}{% endfor %}",
}


def render(text, messages, add_generation_prompt):
    try:
        return {"rendered": environment.from_string(text).render(
            messages=messages, tools=None, documents=None,
            add_generation_prompt=add_generation_prompt, bos_token="<s>", eos_token="</s>")}
    except TemplateError as error:
        return {"error": str(error)}


def cases():
    for path in sorted((here / "../data/chat_templates").glob("*.jinja")):
        for conversation in conversations:
            messages = [{"role": role, "content": content} for role, content in conversation]
            for prompt in (True, False):
                yield {"file": path.name, "messages": messages, "add_generation_prompt": prompt,
                       **render(path.read_text(encoding="utf-8"), messages, prompt)}
    messages = [{"role": role, "content": content} for role, content in conversations[3]]
    for name, text in constructs.items():
        yield {"name": name, "template": text, "messages": messages, "add_generation_prompt": True,
               **render(text, messages, True)}


(here / "chat_vectors.json").write_text(
    json.dumps(list(cases()), ensure_ascii=True, indent=1) + "\n", encoding="utf-8")
