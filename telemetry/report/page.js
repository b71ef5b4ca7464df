'use strict';
// Draws what the program computed; nothing is calculated here beyond positions and units.
(function () {
  const data = JSON.parse(document.getElementById('data').textContent);
  const colour = {
    'embed': '#8d99ae', 'norm': '#b7a6e8', 'mask': '#7c5cff', 'verify': '#3fb6d8', 'unmask': '#3d7bea', 'attention': '#18a999',
    'activation': '#7fc8a9', 'sample': '#5b6b83', 'pack': '#e8c547', 'wire up': '#f6b042', 'wire down': '#f2cf63',
    'unpack': '#d9a93f', 'queue': '#f3c3ad', 'copy': '#9a6b3c', 'product': '#ef7d4f', 'recombine': '#c65a86', 'mailbox': '#ccd2dd',
    'hand-over': '#e3e7ee'
  };
  // From the enclave out to the worker: where a lane stands says whose time it is.
  const groups = [
    {name: 'enclave', stripe: '#7c5cff',
      lanes: ['embed', 'norm', 'mask', 'verify', 'unmask', 'attention', 'activation', 'sample', 'mailbox']},
    {name: 'way', stripe: '#f6b042', lanes: ['pack', 'wire up', 'wire down', 'unpack']},
    {name: 'worker', stripe: '#ef7d4f', lanes: ['queue', 'copy', 'product', 'recombine']}
  ];
  const lanes = [].concat(...groups.map(g => g.lanes));
  const number = d3.format(',');

  function time(us) {
    if (us >= 1e6) return d3.format('.3~s')(us / 1e6) + ' s';
    if (us >= 1e3) return d3.format('.3~r')(us / 1e3) + ' ms';
    return d3.format('.3~r')(us) + ' µs';
  }
  function bytes(n) {
    const units = ['B', 'kB', 'MB', 'GB', 'TB'];
    let i = 0;
    while (n >= 1000 && i < units.length - 1) { n /= 1000; ++i; }
    return [d3.format(i ? '.3~r' : '.0f')(n), units[i]];
  }
  function percent(x) { return d3.format('.0%')(x); }
  function split(text) { const at = text.lastIndexOf(' '); return [text.slice(0, at), text.slice(at + 1)]; }
  function phase(name) { return data.phases.find(p => p.phase === name); }

  // ---- what the pointer is on --------------------------------------------------------------------
  const tip = d3.select('#tip');
  function describe(selection, lines) {
    selection.on('mousemove', function (d) {
      tip.html(null);
      lines(d).forEach((line, i) => tip.append('div').append(i ? 'span' : 'b').text(line));
      const box = tip.node().getBoundingClientRect();
      tip.style('left', Math.min(d3.event.clientX + 14, innerWidth - box.width - 8) + 'px')
        .style('top', Math.max(8, d3.event.clientY - box.height - 10) + 'px').style('opacity', 1);
    }).on('mouseleave', () => tip.style('opacity', 0));
  }

  // ---- header and tiles --------------------------------------------------------------------------
  function header() {
    d3.select('#title').text(document.title);
    const facts = d3.select('#facts');
    facts.append('span').text(number(data.spans) + ' spans in ' + time(data.length));
    if (data.workers.length) facts.append('span').text(' · ' + (data.workers.length > 1 ? 'workers ' : data.workers[0] === 'worker' ? 'embedded ' : 'worker ') + data.workers.join(', '));
    if (data.dropped_spans) facts.append('div').attr('class', 'warning').text(number(data.dropped_spans) + ' spans did not fit and are missing');
  }
  function tile(name, value, unit, more) {
    const t = d3.select('#tiles').append('div').attr('class', 'tile');
    t.append('div').attr('class', 'name').text(name);
    const v = t.append('div').attr('class', 'value').text(value);
    if (unit) v.append('small').text(unit);
    t.append('div').attr('class', 'more').text(more || '\u00a0');
    return v;
  }
  function tiles() {
    const decode = phase('decode'), prefill = phase('prefill');
    if (decode) {
      tile('Decode token', ...split(time(decode.life.p50)), 'p50 · p99 ' + time(decode.life.p99));
    }
    if (prefill) {
      tile('Prefill batch', ...split(time(prefill.life.p50)), 'p50 · ' + d3.format('.3~r')(prefill.rows / prefill.micro_batches) + ' rows each');
    }
    const main = decode || prefill;
    if (main) {
      const up = bytes(main.bytes_up_per_token), down = bytes(main.bytes_down_per_token);
      tile('Up per token', up[0], up[1], 'masked activations');
      tile('Down per token', down[0], down[1], 'products');
    }
    if (data.mask_stock.length) {
      const low = bytes(d3.min(data.mask_stock, l => l[1])), last = bytes(data.mask_stock[data.mask_stock.length - 1][1]);
      tile('Masks in stock', last[0], last[1], 'lowest ' + low.join(' '));
    }
    if (data.requests.count) {
      tile('Requests', number(data.requests.count), '', number(data.prompt_tokens) + ' in, ' + number(data.answer_tokens) + ' out');
    }
  }

  // ---- waterfalls --------------------------------------------------------------------------------
  function waterfall(name, title) {
    const p = phase(name);
    if (!p || !p.waterfall) return;
    const w = p.waterfall;
    const card = d3.select('#waterfalls').append('section').attr('class', 'card');
    const head = card.append('div').attr('class', 'head');
    head.append('h2').text(title);
    const note = head.append('p').attr('class', 'note');
    note.append('span').text('micro-batch ' + w.micro_batch + ' · ' + number(w.rows) + (w.rows === 1 ? ' row · ' : ' rows · ') + time(w.length) + ' · drag to zoom ');
    const reset = note.append('button').attr('class', 'reset').text('show all');
    const left = 118, right = 12, row = 20, gap = 9, top = 18, width = 1200;
    const y = {};
    const used = groups.map(g => ({...g, lanes: g.lanes.filter(l => w.bars.some(b => b.stage === l))})).filter(g => g.lanes.length);
    let at = top;
    used.forEach(g => {
      g.from = at;
      g.lanes.forEach(l => { y[l] = at; at += row; });
      g.to = at;
      at += gap;
    });
    const strip = w.others.length ? 22 : 0, bottom = at - gap + strip, height = row * .74;
    const svg = card.append('svg').attr('viewBox', [0, 0, width, bottom + 26]);
    const x = d3.scaleLinear([0, w.length], [left, width - right]);
    const clip = 'clip-' + name;
    svg.append('clipPath').attr('id', clip).append('rect').attr('x', left).attr('y', 0)
      .attr('width', width - left - right).attr('height', bottom);
    used.forEach(g => {
      svg.append('rect').attr('class', 'band').attr('x', left).attr('y', g.from - 3).attr('width', width - left - right)
        .attr('height', g.to - g.from + 4).attr('rx', 5);
      svg.append('rect').attr('x', left - 4).attr('y', g.from - 3).attr('width', 3).attr('height', g.to - g.from + 4).attr('rx', 1.5).attr('fill', g.stripe);
      svg.append('text').attr('class', 'group').attr('text-anchor', 'middle')
        .attr('transform', 'translate(9,' + (g.from + g.to) / 2 + ') rotate(-90)').text(g.to - g.from > 3 * row ? g.name : '');
    });
    svg.selectAll('.lane').data(Object.keys(y)).enter().append('text').attr('class', 'strong').attr('x', left - 12)
      .attr('y', l => y[l] + height / 2).attr('dy', '.34em').attr('text-anchor', 'end').text(l => l);
    const axis = svg.append('g').attr('class', 'axis').attr('transform', 'translate(0,' + bottom + ')');
    const area = svg.append('g').attr('clip-path', 'url(#' + clip + ')');
    // Where layers begin, as the first of their bars says.
    const layers = d3.nest().key(b => b.layer).rollup(bars => d3.min(bars, b => b.begin))
      .entries(w.bars.map(b => ({layer: (/^layers\.(\d+)\./.exec(b.where) || [0, b.where.startsWith('lm_head') ? 'head' : ''])[1], begin: b.begin})))
      .filter(l => l.key !== '').sort((a, b) => a.value - b.value);
    const marks = area.append('g').selectAll('g').data(layers).enter().append('g').attr('class', 'layer');
    marks.append('line').attr('y1', 4).attr('y2', bottom);
    marks.append('text').attr('x', 4).attr('y', 11);
    const brush = d3.brushX().extent([[left, 0], [width - right, bottom]]);
    const surface = area.append('g').call(brush);
    const bars = area.append('g').selectAll('rect').data(w.bars.filter(b => y[b.stage] !== undefined)).enter().append('rect')
      .attr('class', 'bar').attr('y', b => y[b.stage]).attr('height', height).attr('rx', 2).attr('fill', b => colour[b.stage]);
    describe(bars, b => [b.stage + ' · ' + b.where, time(b.end - b.begin) + ', from ' + time(b.begin),
      number(b.rows) + (b.rows === 1 ? ' row' : ' rows') + (b.joined_rows > b.rows ? ', in a product of ' + number(b.joined_rows) : ''), b.process]);
    const others = area.append('g').selectAll('rect').data(w.others).enter().append('rect').attr('class', 'others')
      .attr('y', bottom - strip + 8).attr('height', strip - 12).attr('rx', 2);
    if (strip) {
      svg.append('text').attr('x', left - 12).attr('y', bottom - strip / 2 + 6).attr('text-anchor', 'end').text('other batches');
      describe(others, o => ['the enclave works for other micro-batches', time(o[1] - o[0])]);
    }
    function draw() {
      const wide = (a, b) => Math.max(.8, x(b) - x(a));
      bars.attr('x', b => x(b.begin)).attr('width', b => wide(b.begin, b.end));
      others.attr('x', o => x(o[0])).attr('width', o => wide(o[0], o[1]));
      let free = -Infinity; // numbers of layers only where there is room for them
      marks.attr('transform', l => 'translate(' + x(l.value) + ',0)').select('text').text(l => {
        const name = l.key === 'head' ? 'head' : (x(layers[Math.min(1, layers.length - 1)].value) - x(layers[0].value) > 60 ? 'layer ' : '') + l.key;
        if (x(l.value) < free || x(l.value) > width - right - 8 - 6 * name.length) return '';
        free = x(l.value) + 8 + 6 * name.length;
        return name;
      });
      axis.call(d3.axisBottom(x).ticks(9).tickFormat(time).tickSizeOuter(0));
      const shown = x.domain();
      reset.style('visibility', shown[0] > 0 || shown[1] < w.length ? 'visible' : 'hidden');
    }
    brush.on('end', () => {
      if (!d3.event.selection) return;
      const chosen = d3.event.selection.map(x.invert);
      surface.call(brush.move, null);
      if (chosen[1] - chosen[0] > w.length / 1e5) x.domain(chosen);
      draw();
    });
    reset.on('click', () => { x.domain([0, w.length]); draw(); });
    draw();
  }

  // ---- shares ------------------------------------------------------------------------------------
  function shares() {
    const phases = data.phases.filter(p => p.phase !== 'unknown');
    if (!phases.length) return d3.select('#shares').remove();
    const width = 880, left = 68, row = 52, host = d3.select('#shares .plot');
    const order = stage => lanes.indexOf(stage) < 0 ? lanes.length : lanes.indexOf(stage);
    const svg = host.append('svg').attr('viewBox', [0, 0, width, phases.length * row]);
    const x = d3.scaleLinear([0, 1], [left, width]);
    phases.forEach((p, i) => {
      let at = 0;
      const parts = p.stages.map(s => ({stage: s.stage, share: s.share})).concat([{stage: 'hand-over', share: p.waiting}]).sort((a, b) => order(a.stage) - order(b.stage))
        .filter(s => s.share > 0).map(s => ({...s, from: at, to: (at += s.share)}));
      const g = svg.append('g').attr('transform', 'translate(0,' + i * row + ')');
      g.append('text').attr('class', 'strong').attr('x', left - 10).attr('y', 25).attr('text-anchor', 'end').text(p.phase);
      const bar = g.selectAll('rect').data(parts).enter().append('rect').attr('class', 'bar').attr('x', s => x(s.from) + .75)
        .attr('y', 4).attr('width', s => Math.max(.5, x(s.to) - x(s.from) - 1.5)).attr('height', row - 16).attr('rx', 4)
        .attr('fill', s => colour[s.stage]);
      describe(bar, s => [s.stage, d3.format('.1%')(s.share) + ' of the time of a ' + p.phase + ' micro-batch']);
      g.selectAll('.label').data(parts.filter(s => x(s.to) - x(s.from) > 84)).enter().append('text')
        .attr('x', s => (x(s.from) + x(s.to)) / 2).attr('y', 25).attr('text-anchor', 'middle').style('pointer-events', 'none')
        .style('fill', s => d3.lab(colour[s.stage]).l > 62 ? '#1b2330' : '#fff').text(s => s.stage + ' ' + percent(s.share));
    });
    const present = lanes.filter(l => phases.some(p => p.stages.some(s => s.stage === l))).concat('hand-over');
    const legend = host.append('div').attr('class', 'legend').selectAll('span').data(present).enter().append('span');
    legend.append('i').style('background', l => colour[l]);
    legend.append('span').text(l => l);
  }

  // ---- overlap -----------------------------------------------------------------------------------
  function overlap() {
    const phases = data.phases.filter(p => p.phase !== 'unknown' && p.outside > 0);
    if (!phases.length) return d3.select('#overlap').remove();
    const host = d3.select('#overlap .plot').attr('class', 'plot rings');
    phases.forEach(p => {
      const ring = host.append('div').attr('class', 'ring');
      const svg = ring.append('svg').attr('viewBox', [-60, -60, 120, 120]);
      const arc = d3.arc().innerRadius(43).outerRadius(55).cornerRadius(6);
      svg.append('path').attr('class', 'ring-rest').attr('d', arc({startAngle: 0, endAngle: 2 * Math.PI}));
      if (p.overlap > .004) svg.append('path').attr('class', 'ring-part').attr('d', arc({startAngle: 0, endAngle: 2 * Math.PI * p.overlap}));
      svg.append('text').attr('class', 'ring-value').attr('text-anchor', 'middle').attr('dy', '.3em').text(percent(p.overlap));
      const text = ring.append('div');
      text.append('b').text(p.phase);
      text.append('div').text(time(p.hidden) + ' hidden');
      text.append('div').text('of ' + time(p.outside));
    });
  }

  // ---- tails -------------------------------------------------------------------------------------
  function tails() {
    const tabs = d3.select('#tails .tabs'), host = d3.select('#tails .plot');
    function show(p) {
      tabs.selectAll('button').classed('on', q => q === p);
      host.html(null);
      const rows = p.stages, left = 92, right = 310, row = 26, top = 22, width = 1200, height = top + rows.length * row;
      const svg = host.append('svg').attr('viewBox', [0, 0, width, height + 26]);
      const low = Math.max(.05, d3.min(rows, r => r.p50) || .05), high = Math.max(low * 10, d3.max(rows, r => r.p99));
      const x = d3.scaleLog([low / 1.5, high * 1.3], [left, width - right]).clamp(true);
      const y = r => top + rows.indexOf(r) * row + row / 2;
      svg.selectAll('.band').data(rows.filter((r, i) => i % 2 === 0)).enter().append('rect').attr('class', 'band').attr('x', 0)
        .attr('y', r => y(r) - row / 2).attr('width', width).attr('height', row).attr('rx', 4);
      const g = svg.selectAll('.row').data(rows).enter().append('g').attr('class', 'bar');
      g.append('rect').attr('x', 0).attr('width', width).attr('y', r => y(r) - row / 2).attr('height', row).attr('fill', 'transparent').attr('stroke', 'none');
      g.append('text').attr('class', 'strong').attr('x', left - 10).attr('y', y).attr('dy', '.34em').attr('text-anchor', 'end').text(r => r.stage);
      g.append('line').attr('x1', r => x(r.p50)).attr('x2', r => x(r.p99)).attr('y1', y).attr('y2', y)
        .attr('stroke', r => colour[r.stage]).attr('stroke-width', 3).attr('opacity', .55).attr('stroke-linecap', 'round');
      [['p50', 5.5], ['p95', 4.2], ['p99', 3]].forEach(([key, radius]) => g.append('circle').attr('cx', r => x(r[key])).attr('cy', y)
        .attr('r', radius).attr('fill', r => colour[r.stage]));
      ['spans', 'p50', 'p95', 'p99', 'max'].forEach((name, i) => {
        const at = width - right + 66 + i * 60;
        svg.append('text').attr('x', at).attr('y', 13).attr('text-anchor', 'end').text(name);
        g.append('text').attr('class', i === 1 ? 'strong' : null).attr('x', at).attr('y', y).attr('dy', '.34em').attr('text-anchor', 'end')
          .text(r => i === 0 ? number(r.count) : time(r[name]));
      });
      svg.append('g').attr('class', 'axis').attr('transform', 'translate(0,' + height + ')')
        .call(d3.axisBottom(x).ticks(6, time).tickSizeOuter(0));
      describe(g, r => [r.stage, 'p50 ' + time(r.p50) + ' · p95 ' + time(r.p95) + ' · p99 ' + time(r.p99), number(r.count) + ' spans, ' + time(r.total) + ' altogether']);
    }
    if (!data.phases.length) return d3.select('#tails').remove();
    tabs.selectAll('button').data(data.phases).enter().append('button').text(p => p.phase).on('click', show);
    show(data.phases[0]);
  }

  // ---- over time ---------------------------------------------------------------------------------
  function overTime() {
    const levels = data.mask_stock, phases = data.phases.filter(p => p.phase !== 'unknown' && p.course && p.course.length > 1);
    const stocked = levels.length > 1 && d3.max(levels, l => l[1]) > 0;
    if (!phases.length && !stocked) return d3.select('#course').remove();
    const width = 1200, left = 92, right = 12, upper = phases.length ? 150 : 0, lower = stocked ? 84 : 0, between = 26;
    const floor = upper + (upper && lower ? between : 0) + lower;
    const svg = d3.select('#course .plot').append('svg').attr('viewBox', [0, 0, width, floor + 28]);
    const x = d3.scaleLinear([0, data.length], [left, width - right]);
    const tint = {decode: colour.product, prefill: colour.mask};
    const grid = (y, ticks, text) => {
      svg.append('g').selectAll('line').data(ticks).enter().append('line').attr('class', 'rule')
        .attr('x1', left).attr('x2', width - right).attr('y1', y).attr('y2', y);
      svg.append('g').selectAll('text').data(ticks).enter().append('text').attr('x', left - 10).attr('y', y).attr('dy', '.34em')
        .attr('text-anchor', 'end').text(text);
    };
    if (upper) {
      const lives = [].concat(...phases.map(p => p.course.map(c => c[1])));
      const y = d3.scaleLog([d3.min(lives) / 1.4, d3.max(lives) * 1.4], [upper, 10]);
      const decades = y.ticks().filter(v => /^[125]/.test(v.toExponential()));
      grid(y, decades.length > 7 ? decades.filter(v => /^1/.test(v.toExponential())) : decades, time);
      phases.forEach(p => {
        const dots = svg.append('g').selectAll('circle').data(p.course).enter().append('circle').attr('class', 'bar')
          .attr('cx', c => x(c[0])).attr('cy', c => y(c[1])).attr('r', p.phase === 'prefill' ? 4 : 2.6)
          .attr('fill', tint[p.phase]).attr('opacity', .72);
        describe(dots, c => [p.phase + ' micro-batch', time(c[1]) + ', begun at ' + time(c[0])]);
      });
      const legend = svg.append('g');
      phases.forEach((p, i) => {
        legend.append('circle').attr('cx', width - right - 70 * (phases.length - i) + 4).attr('cy', 2).attr('r', 4).attr('fill', tint[p.phase]);
        legend.append('text').attr('x', width - right - 70 * (phases.length - i) + 13).attr('y', 6).text(p.phase);
      });
    }
    if (lower) {
      const y = d3.scaleLinear([0, d3.max(levels, l => l[1])], [floor, floor - lower + 6]).nice(2);
      grid(y, y.ticks(2), n => bytes(n).join(' '));
      const ends = levels.concat([[data.length, levels[levels.length - 1][1]]]);
      svg.append('path').attr('d', d3.area().x(l => x(l[0])).y0(floor).y1(l => y(l[1])).curve(d3.curveStepAfter)(ends))
        .attr('fill', colour.mask).attr('opacity', .16);
      svg.append('path').attr('d', d3.line().x(l => x(l[0])).y(l => y(l[1])).curve(d3.curveStepAfter)(ends))
        .attr('fill', 'none').attr('stroke', colour.mask).attr('stroke-width', 1.8);
      svg.append('text').attr('class', 'strong').attr('x', left + 6).attr('y', floor - lower + 2).text('masks in stock');
    }
    svg.append('g').attr('class', 'axis').attr('transform', 'translate(0,' + floor + ')')
      .call(d3.axisBottom(x).ticks(9).tickFormat(time).tickSizeOuter(0));
  }

  header();
  tiles();
  waterfall('decode', 'Waterfall of a decode token');
  waterfall('prefill', 'Waterfall of a prefill micro-batch');
  shares();
  overlap();
  overTime();
  tails();
})();
