'use strict';
// Draws what the program computed; nothing is calculated here beyond positions and units.
(function () {
  const data = JSON.parse(document.getElementById('data').textContent);
  const colour = {
    'embed': '#8d99ae', 'norm': '#b7a6e8', 'mask': '#7c5cff', 'wire up': '#f6b042', 'queue': '#f6d5c6', 'copy': '#9a6b3c',
    'product': '#ef7d4f', 'switching': '#c65a86', 'wire down': '#f2d06b', 'unmask': '#3d7bea', 'attention': '#18a999',
    'activation': '#7fc8a9', 'sample': '#5b6b83', 'hand-over': '#c3cad6'
  };
  const lanes = ['embed', 'norm', 'mask', 'wire up', 'queue', 'copy', 'product', 'switching', 'wire down', 'unmask', 'attention',
    'activation', 'sample'];
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
    data.phases.filter(p => p.outside > 0 && p.phase !== 'unknown').forEach(p =>
      tile('Overlap, ' + p.phase, percent(p.overlap), '', 'of ' + time(p.outside) + ' away')
        .style('color', p.overlap >= .6 ? 'var(--good)' : p.overlap >= .25 ? 'var(--fair)' : null));
    const main = decode || prefill;
    if (main) {
      const up = bytes(main.bytes_up_per_token), down = bytes(main.bytes_down_per_token);
      tile('Up per token', up[0], up[1], 'masked activations');
      tile('Down per token', down[0], down[1], 'products');
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
    const used = lanes.filter(l => w.bars.some(b => b.stage === l));
    const left = 92, right = 12, row = 21, top = 4, width = 1200;
    const strip = w.others.length ? 24 : 0, bottom = top + used.length * row + strip;
    const svg = card.append('svg').attr('viewBox', [0, 0, width, bottom + 26]);
    const x = d3.scaleLinear([0, w.length], [left, width - right]);
    const y = d3.scaleBand(used, [top, top + used.length * row]).paddingInner(.22).paddingOuter(.11);
    const clip = 'clip-' + name;
    svg.append('clipPath').attr('id', clip).append('rect').attr('x', left).attr('y', 0)
      .attr('width', width - left - right).attr('height', bottom);
    svg.selectAll('.band').data(used.filter((l, i) => i % 2 === 0)).enter().append('rect').attr('class', 'band').attr('x', left)
      .attr('y', l => y(l) - row * .11).attr('width', width - left - right).attr('height', row).attr('rx', 4);
    svg.selectAll('.lane').data(used).enter().append('text').attr('class', 'strong').attr('x', left - 10)
      .attr('y', l => y(l) + y.bandwidth() / 2).attr('dy', '.34em').attr('text-anchor', 'end').text(l => l);
    const axis = svg.append('g').attr('class', 'axis').attr('transform', 'translate(0,' + bottom + ')');
    const area = svg.append('g').attr('clip-path', 'url(#' + clip + ')');
    const brush = d3.brushX().extent([[left, 0], [width - right, bottom]]);
    const surface = area.append('g').call(brush);
    const bars = area.append('g').selectAll('rect').data(w.bars.filter(b => used.includes(b.stage))).enter().append('rect')
      .attr('class', 'bar').attr('y', b => y(b.stage)).attr('height', y.bandwidth()).attr('rx', 2).attr('fill', b => colour[b.stage]);
    describe(bars, b => [b.stage + ' · ' + b.where, time(b.end - b.begin) + ', from ' + time(b.begin),
      number(b.rows) + (b.rows === 1 ? ' row' : ' rows') + (b.joined_rows > b.rows ? ', in a product of ' + number(b.joined_rows) : ''), b.process]);
    const others = area.append('g').selectAll('rect').data(w.others).enter().append('rect').attr('class', 'others')
      .attr('y', bottom - strip + 8).attr('height', strip - 12).attr('rx', 2);
    if (strip) {
      svg.append('text').attr('x', left - 10).attr('y', bottom - strip / 2 + 6).attr('text-anchor', 'end').text('other batches');
      describe(others, o => ['the enclave works for other micro-batches', time(o[1] - o[0])]);
    }
    function draw() {
      const wide = (a, b) => Math.max(.8, x(b) - x(a));
      bars.attr('x', b => x(b.begin)).attr('width', b => wide(b.begin, b.end));
      others.attr('x', o => x(o[0])).attr('width', o => wide(o[0], o[1]));
      axis.call(d3.axisBottom(x).ticks(9).tickFormat(time).tickSizeOuter(0));
      const shown = x.domain();
      reset.style('visibility', shown[0] > 0 || shown[1] < w.length ? 'visible' : 'hidden');
    }
    brush.on('end', function () {
      if (!d3.event.selection) return;
      x.domain(d3.event.selection.map(x.invert));
      surface.call(brush.move, null);
      draw();
    });
    reset.on('click', () => { x.domain([0, w.length]); draw(); });
    draw();
  }

  // ---- shares ------------------------------------------------------------------------------------
  function shares() {
    const phases = data.phases.filter(p => p.phase !== 'unknown');
    if (!phases.length) return d3.select('#shares').remove();
    const width = 1200, left = 92, row = 46, host = d3.select('#shares .plot');
    const svg = host.append('svg').attr('viewBox', [0, 0, width, phases.length * row]);
    const x = d3.scaleLinear([0, 1], [left, width]);
    phases.forEach((p, i) => {
      let at = 0;
      const parts = p.stages.map(s => ({stage: s.stage, share: s.share})).concat([{stage: 'hand-over', share: p.waiting}])
        .filter(s => s.share > 0).map(s => ({...s, from: at, to: (at += s.share)}));
      const g = svg.append('g').attr('transform', 'translate(0,' + i * row + ')');
      g.append('text').attr('class', 'strong').attr('x', left - 10).attr('y', 22).attr('text-anchor', 'end').text(p.phase);
      const bar = g.selectAll('rect').data(parts).enter().append('rect').attr('class', 'bar').attr('x', s => x(s.from) + .75)
        .attr('y', 4).attr('width', s => Math.max(.5, x(s.to) - x(s.from) - 1.5)).attr('height', row - 16).attr('rx', 4)
        .attr('fill', s => colour[s.stage]);
      describe(bar, s => [s.stage, d3.format('.1%')(s.share) + ' of the time of a ' + p.phase + ' micro-batch']);
      g.selectAll('.label').data(parts.filter(s => x(s.to) - x(s.from) > 62)).enter().append('text')
        .attr('x', s => (x(s.from) + x(s.to)) / 2).attr('y', 23).attr('text-anchor', 'middle').style('pointer-events', 'none')
        .style('fill', s => d3.lab(colour[s.stage]).l > 62 ? '#1b2330' : '#fff').text(s => s.stage + ' ' + percent(s.share));
    });
    const present = lanes.filter(l => phases.some(p => p.stages.some(s => s.stage === l))).concat('hand-over');
    const legend = host.append('div').attr('class', 'legend').selectAll('span').data(present).enter().append('span');
    legend.append('i').style('background', l => colour[l]);
    legend.append('span').text(l => l);
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

  // ---- masks -------------------------------------------------------------------------------------
  function stock() {
    const levels = data.mask_stock;
    if (levels.length < 2 || d3.max(levels, l => l[1]) === 0) return d3.select('#stock').remove();
    const width = 1200, height = 120, left = 92, right = 12;
    const svg = d3.select('#stock .plot').append('svg').attr('viewBox', [0, 0, width, height + 28]);
    const x = d3.scaleLinear(d3.extent(levels, l => l[0]), [left, width - right]);
    const y = d3.scaleLinear([0, d3.max(levels, l => l[1])], [height, 8]).nice(3);
    svg.append('g').attr('class', 'axis').selectAll('line').data(y.ticks(3)).enter().append('line').attr('class', 'rule')
      .attr('x1', left).attr('x2', width - right).attr('y1', y).attr('y2', y);
    svg.append('g').selectAll('text').data(y.ticks(3)).enter().append('text').attr('x', left - 10).attr('y', y).attr('dy', '.34em')
      .attr('text-anchor', 'end').text(n => bytes(n).join(' '));
    svg.append('path').attr('d', d3.area().x(l => x(l[0])).y0(height).y1(l => y(l[1])).curve(d3.curveStepAfter)(levels))
      .attr('fill', colour.mask).attr('opacity', .18);
    svg.append('path').attr('d', d3.line().x(l => x(l[0])).y(l => y(l[1])).curve(d3.curveStepAfter)(levels))
      .attr('fill', 'none').attr('stroke', colour.mask).attr('stroke-width', 1.8);
    svg.append('g').attr('class', 'axis').attr('transform', 'translate(0,' + height + ')')
      .call(d3.axisBottom(x).ticks(9).tickFormat(time).tickSizeOuter(0));
  }

  header();
  tiles();
  waterfall('decode', 'Waterfall of a decode token');
  waterfall('prefill', 'Waterfall of a prefill micro-batch');
  shares();
  tails();
  stock();
})();
