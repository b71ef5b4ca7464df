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
    "filters of what is false": "{{ tools | select | list }}{{ tools | reject | list }}"
                                "{{ tools | selectattr('x', 'defined') | list | length }}"
                                "{{ tools | rejectattr('x') | list }}{{ tools | map('upper') | list }}"
                                "{{ tools | map(attribute='x') | list }}{{ 0 | select | list }}"
                                "{{ false | map('nonsense') | list }}{{ '' | selectattr | list }}"
                                "{{ [] | map | list }}{{ {} | reject('x') | list }}"
                                "{{ nothing | select | list }}{{ nothing | map | list }}",
    "filters of undefined": "{{ nothing | join('x') }}|{{ nothing | length }}|{{ nothing | first }}|"
                            "{{ nothing | list }}|{{ nothing | items | list }}|{{ nothing | upper }}|"
                            "{{ nothing | trim }}|{{ nothing | string }}|{{ nothing | sort }}|"
                            "{{ nothing | unique | list }}|{{ nothing | sum }}|{{ nothing | max }}|"
                            "{{ nothing | min }}|{{ nothing | batch(2) | list }}|{{ nothing | default('d') }}|"
                            "{{ nothing | replace('a', 'b') }}|{{ nothing | reverse | list }}",
    "filters of none": "{{ none | upper }}{{ none | trim }}{{ none | string }}{{ none | int }}"
                       "{{ none | float }}{{ none | default('d') }}{{ none | default('d', true) }}"
                       "{{ none | replace('o', '0') }}{{ none | title }}{{ none | tojson }}"
                       "{{ false | lower }}{{ 0 | string }}{{ 0 | default(1) }}{{ '' | first }}{{ '' | last }}"
                       "{{ [] | first }}{{ [] | last }}{{ [] | max }}{{ [] | sum }}{{ '' | length }}{{ '' | join }}",
    "join of none": "{{ none | join(',') }}",
    "first of none": "{{ none | first }}",
    "list of none": "{{ none | list }}",
    "length of none": "{{ none | length }}",
    "sort of none": "{{ none | sort }}",
    "sum of none": "{{ none | sum }}",
    "items of none": "{{ none | items | list }}",
    "reverse of zero": "{{ 0 | reverse | list }}",
    "last of an iterator": "{{ messages | map(attribute='role') | last }}",
    "sorting": "{{ ['b', 'A', 'c'] | sort }}{{ ['b', 'A', 'c'] | sort(case_sensitive=true) }}"
               "{{ [3, 1, 2.5] | sort(reverse=true) }}{{ messages | sort(attribute='role') | map(attribute='content') | list }}"
               "{{ messages | sort(attribute='role,content', reverse=true) | map(attribute='role') | list }}"
               "{{ [[2, 'x'], [1, 'y'], [1, 'X']] | sort(attribute='0,1') }}{{ [(1, 2), (1,), (0, 9)] | sort }}"
               "{{ ['b', 'B', 'a', 'A'] | sort }}{{ ['b', 'B', 'a', 'A'] | sort(true) }}",
    "sort of mixed": "{{ [1, 'a'] | sort }}",
    "dictsort": "{{ {'b': 1, 'A': 3, 'c': 2} | dictsort }}{{ {'b': 1, 'A': 3} | dictsort(true) }}"
                "{{ {'b': 1, 'A': 3, 'c': 2} | dictsort(by='value', reverse=true) }}"
                "{% for k, v in {'z': 1, 'y': 2} | dictsort %}{{ k }}={{ v }};{% endfor %}",
    "unique and extremes": "{{ ['a', 'A', 'b', 'a'] | unique | list }}{{ ['a', 'A'] | unique(true) | list }}"
                           "{{ messages | unique(attribute='role') | map(attribute='content') | list }}"
                           "{{ [3, 1, 2] | max }}{{ [3, 1, 2] | min }}{{ ['b', 'A'] | max }}{{ ['a', 'B'] | min(case_sensitive=true) }}"
                           "{{ (messages | max(attribute='content')).role }}{{ [1, 2.5] | sum }}{{ [[1], [2]] | sum(start=[]) }}"
                           "{{ [{'n': 1}, {'n': 2}] | sum(attribute='n') }}{{ [1, 1.0, true] | unique | list }}",
    "numbers": "{{ 1.5 }}{{ 1.0 }}{{ 1e3 }}{{ 1e16 }}{{ 1.5e-7 }}{{ 0.0001 }}{{ 123456789.125 }}{{ 1/3 }}{{ 4/2 }}{{ 7.5 // 2 }}"
               "{{ -7.5 // 2 }}{{ -7.5 % 2 }}{{ 7.5 % -2 }}{{ 2 ** 10 }}{{ 2 ** -1 }}{{ 2 ** 3 ** 2 }}{{ -2 ** 2 }}{{ 2.0 * 3 }}{{ 1 + 0.5 }}"
               "{{ 0.1 + 0.2 }}{{ 1 == 1.0 }}{{ 1 < 1.5 }}{{ 1.5 is float }}{{ 1.5 is number }}{{ 1 is float }}{{ 1.5 is integer }}"
               "{{ 3.0 is odd }}{{ [1.5, 2.0] }}{{ -1.5 }}{{ 1.5 | int }}{{ '1.9' | int }}{{ ' 12 ' | int }}{{ '1e2' | int }}{{ 'abc' | int }}"
               "{{ '2.5' | float }}{{ 'x' | float }}{{ 'x' | float(1) }}{{ 3 | float }}{{ 1 ~ 2.5 }}{{ 1.5 if 0.0 else 2.5 }}"
               "{{ {'a': 1.0, 'b': 2.5} | tojson }}{{ 1.5 in [1.5] }}",
    "rounding": "{{ 2.5 | round }}{{ 3.5 | round }}{{ 2.675 | round(2) }}{{ 42.55 | round(1, 'floor') }}{{ 42.51 | round(1, 'ceil') }}"
                "{{ 7 | round }}{{ 7 | round(2, 'ceil') }}{{ -2.5 | round }}{{ -3 | abs }}{{ -3.5 | abs }}{{ 3.7 | round | int }}",
    "safe text": "{{ '<b>' | safe }}{{ ('<b>' | safe) ~ '<i>' }}{{ '<b>' | e }}{{ 'a&\"' | escape }}{{ ('<' | safe | e) }}"
                 "{{ ' <b> ' | safe | trim }}{{ ({'a': 1} | tojson | safe) }}{{ 'x' | safe | length }}{{ ('a' | safe) == 'a' }}"
                 "{{ '<b>' | safe | upper }}{{ ('a' | safe) + 'b' }}{{ ['<'] | map('escape') | join }}",
    "percent": "{{ '%s and %d' % ('a', 3) }}{{ '%5.2f|' % 3.14159 }}{{ '%-5s|%5s|' % ('é', 'b') }}{{ '%05d' % 42 }}{{ '%x' % 255 }}"
               "{{ '%(a)s-%(b)s' % {'a': 1, 'b': none} }}{{ '%s' % [1] }}{{ '%r' % 'q' }}{{ '100%%' % () }}{{ '%s' % none }}{{ '%.2s' % 'abc' }}"
               "{{ '%s %s' | format('x', 1.5) }}{{ '%(k)s' | format(k='v') }}{{ '%d' % 3.9 }}{{ '%e' % 12345.678 }}{{ '%g' % 0.0001 }}",
    "braces": "{{ '{} {}'.format('a', 1) }}{{ '{1}{0}'.format('a', 'b') }}{{ '{x}'.format(x=none) }}{{ '{{}}'.format() }}",
    "too many for percent": "{{ '%s' % ('a', 'b') }}",
    "too few for percent": "{{ '%s %s' % 'a' }}",
    "repetition": "{{ [1, 2] * 2 }}{{ 2 * 'ab' }}{{ 'ab' * 0 }}{{ (1,) * 3 }}{{ 'x' * true }}",
    "more methods": "{{ 'a b c'.rsplit(' ', 1) }}{{ ' a  b '.rsplit() }}{{ 'a b c'.rsplit(none, 1) }}{{ 'a\nb\r\nc\n'.splitlines() }}"
                    "{{ 'a\nb'.splitlines(true) }}{{ 'a-b-c'.partition('-') }}{{ 'a-b-c'.rpartition('-') }}{{ 'abc'.partition('x') }}"
                    "{{ 'abc'.rpartition('x') }}{{ 'abcb'.index('b') }}{{ 'abcb'.rfind('b') }}{{ 'abcb'.rindex('b') }}{{ '12'.isdigit() }}"
                    "{{ ''.isdigit() }}{{ '1a'.isalnum() }}{{ 'é'.isalpha() }}{{ ' \t'.isspace() }}{{ 'ab1'.islower() }}{{ 'AB'.isupper() }}"
                    "{{ '12'.isdecimal() }}{{ '²'.isdigit() }}{{ '²'.isdecimal() }}{{ 'Ab'.islower() }}{{ ''.splitlines() }}{{ 'a\x0bb\u2028c'.splitlines() }}",
    "index of nothing": "{{ 'abc'.index('x') }}",
    "more tests": "{{ 'abc' is lower }}{{ 'ABC' is upper }}{{ 'Abc' is lower }}{{ range is callable }}{{ 'a' is callable }}{{ none is sameas none }}"
                  "{{ true is sameas true }}{{ 1 is sameas true }}{{ ('a' | safe) is escaped }}{{ 'a' is escaped }}{{ 12 is lower }}",
    "loop cycle": "{% for m in messages %}{{ loop.cycle('a', 'b', 'c') }}{{ loop.changed(m.role == 'user') }};{% endfor %}"
                  "{% for x in [1, 1, 2] %}{% if loop.changed(x) %}{{ x }}{% endif %}{% endfor %}",
    "raw": "a {% raw %}{{ x }} {% if %}{# c #}{% endraw %} b\n{% raw %}\nkeep\n{% endraw %}\nend",
    "raw with signs": "a  {%- raw -%}  {{ x }}  {%- endraw -%}  b\n  {% raw %} c {% endraw %}\n d {%+ raw %}\n e {% endraw +%}\n f",
    "filter block": "{% filter upper | trim %} a {{ messages[0].role }} {% endfilter %}{% filter replace('a', 'b') %}banana{% endfilter %}",
    "filtered set": "{% set x | upper %}a{{ 1 }}{% endset %}{{ x }}",
    "with block": "{% set a = 1 %}{% with a = 2, b = a %}{{ a }}{{ b }}{% set c = 3 %}{{ c }}{% endwith %}{{ a }}{{ c }}{% with %}{{ a }}{% endwith %}",
    "call block": "{% macro box(title) %}[{{ title }}:{{ caller() }}]{% endmacro %}{% set y = 5 %}"
                  "{% call box('t') %}in {{ y }}{% endcall %}"
                  "{% for i in [1, 2] %}{% call box(i) %}{{ i }}{{ loop.index }}{% endcall %}{% endfor %}"
                  "{% macro each(list) %}{% for x in list %}{{ caller(x, loop.index) }}{% endfor %}{% endmacro %}"
                  "{% call(item, n=0) each(['p', 'q']) %}<{{ item }}{{ n }}>{% endcall %}",
    "macro without caller": "{% macro m() %}{{ caller is defined }}{% if caller %}x{% endif %}{% endmacro %}{{ m() }}",
    "dicts and namespaces": "{{ dict(a=1, b='x') }}{{ dict({'a': 1}, b=2) }}{{ dict([['k', 'v']]) }}{{ dict() }}"
                            "{% set ns = namespace({'n': 1}, m=2) %}{{ ns.n }}{{ ns.m }}{% set ns.n = 5 %}{{ ns.n }}"
                            "{{ {'a': 1} == dict(a=1) }}",
    "json styles": "{{ {'b': 'é', 'a': [1, 2]} | tojson(ensure_ascii=true) }}{{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }}"
                   "{{ {'b': 1, 'a': [2, 3]} | tojson(separators=(',', ':')) }}{{ {'a': {'b': [1]}} | tojson(indent=4) }}"
                   "{{ '😀\x7f' | tojson(true) }}{{ {1: 2, none: 3, true: 4} | tojson }}{{ [1.5, 1e100] | tojson }}"
                   "{{ {'a': 1, 'b': 2} | tojson(indent=2, separators=(', ', ' = ')) }}",
    "indentation": "{{ 'a\nb\n\nc' | indent }}|{{ 'a\nb' | indent(2, true) }}|{{ 'a\n\nb' | indent(1, blank=true) }}|{{ 'a\nb\n' | indent('> ') }}|{{ '' | indent }}",
    "batches": "{% for row in [1, 2, 3, 4, 5] | batch(2) %}{{ row }}{% endfor %}{{ [1, 2, 3] | batch(2, 'x') | list }}",
    "deep attributes": "{{ [{'a': {'b': 1}}, {'a': {'b': 2}}] | map(attribute='a.b') | list }}{{ [[1, 2], [3, 4]] | map(attribute='1') | list }}"
                       "{{ [{'a': 1}, {}] | map(attribute='a', default=0) | list }}{{ [{'items': 1}] | map(attribute='items') | list }}"
                       "{{ [{'a': {'b': true}}, {'a': {'b': false}}] | selectattr('a.b') | list | length }}{{ [[0], [1]] | selectattr(0) | list }}"
                       "{{ [{'a': 1}, {'a': 2}] | join(',', attribute='a') }}",
    "comparing lists": "{{ [1, 2] < [1, 3] }}{{ (1,) < (1, 0) }}{{ [2] > [1, 5] }}",
    "elif chain": "{% for i in range(4) %}{% if i == 0 %}z{% elif i == 1 %}o{% elif i == 2 %}t{% else %}m"
                  "{% endif %}{% endfor %}",
}


tools = [{"type": "function", "function": {
    "name": "weather", "description": "What it's <like>", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"], "minimum": 1.5}}},
    {"function": {"parameters": {}, "name": "noon"}, "type": "function"}]
call = {"id": "abcdefghi", "type": "function",
        "function": {"name": "weather", "arguments": {"days": 3, "city": "Köln"}}}
with_tools = [
    [{"role": "user", "content": "Hello"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Rain?"},
     {"role": "assistant", "content": "", "tool_calls": [call]},
     {"role": "tool", "content": "[true, 7]", "tool_call_id": "abcdefghi"},
     {"role": "assistant", "content": "Yes."}, {"role": "user", "content": "Sure?"}],
]


def render(text, messages, add_generation_prompt, tools=None):
    try:
        return {"rendered": environment.from_string(text).render(
            messages=messages, tools=tools, documents=None,
            add_generation_prompt=add_generation_prompt, bos_token="<s>", eos_token="</s>")}
    except Exception as error:  # Python's own, too: they end a rendering like a TemplateError
        return {"error": str(error)}


def cases():
    for path in sorted((here / "../data/chat_templates").glob("*.jinja")):
        for conversation in conversations:
            messages = [{"role": role, "content": content} for role, content in conversation]
            for prompt in (True, False):
                yield {"file": path.name, "messages": messages, "add_generation_prompt": prompt,
                       **render(path.read_text(encoding="utf-8"), messages, prompt)}
        for messages in with_tools:
            text = path.read_text(encoding="utf-8")
            yield {"file": path.name, "messages": messages, "add_generation_prompt": True,
                   "tools": tools, **render(text, messages, True, tools)}
    messages = [{"role": role, "content": content} for role, content in conversations[3]]
    for name, text in constructs.items():
        yield {"name": name, "template": text, "messages": messages, "add_generation_prompt": True,
               **render(text, messages, True)}


(here / "chat_vectors.json").write_text(
    json.dumps(list(cases()), ensure_ascii=True, indent=1) + "\n", encoding="utf-8")
