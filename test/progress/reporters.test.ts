import { describe, expect, it } from 'vitest';
import { formatDuration, remainingTime } from '../../src/progress/eta.ts';
import { jsonReporter, lineReporter, terminalReporter } from '../../src/progress/index.ts';

/** What was written, and a clock that the test moves. */
function sink() {
  const written: string[] = [];
  const clock = { ms: 0 };
  return { written, clock, write: (text: string) => written.push(text), now: () => clock.ms };
}

describe('a reporter for pipes', () => {
  it('writes one line per step, with its last detail, and notes as they come', () => {
    const out = sink();
    const report = lineReporter(out);
    const step = report.step('evolution', 50);
    out.clock.ms = 1000;
    step.advance(25, 'best fitness 0.9');
    report.note('skipped broken.jpg');
    out.clock.ms = 2500;
    step.advance(50, 'best fitness 0.8');
    step.end();
    expect(out.written).toEqual(['skipped broken.jpg\n', 'evolution: 50 in 2.5 s, best fitness 0.8\n']);
  });
});

describe('a reporter for terminals', () => {
  it('redraws a bar with an ETA and the detail, and leaves one line', () => {
    const out = sink();
    const step = terminalReporter({ ...out, columns: () => 120 }).step('evolution', 40);
    out.clock.ms = 2000;
    step.advance(10, 'best fitness 0.9');
    expect(out.written.at(-1)).toBe(
      `\r\u001b[2Kevolution ${'█'.repeat(6)}${'░'.repeat(18)} 10/40  ETA 6.0 s  best fitness 0.9`,
    );
    out.clock.ms = 8000;
    step.end();
    expect(out.written.at(-1)).toBe('\r\u001b[2K✓ evolution  40 in 8.0 s  best fitness 0.9\n');
  });

  it('draws at most once in 80 ms but always the last unit', () => {
    const out = sink();
    const step = terminalReporter({ ...out, columns: () => 80 }).step('images', 1000);
    for (let done = 1; done <= 1000; done++) {
      out.clock.ms = done;
      step.advance(done);
    }
    expect(out.written.length).toBeLessThanOrEqual(14);
    expect(out.written.at(-1)).toContain('1000/1000');
  });

  it('never writes a line that the terminal would wrap', () => {
    const out = sink();
    const step = terminalReporter({ ...out, columns: () => 40 }).step('a step with a long name', 7);
    step.advance(7, 'and with a long detail beside the bar');
    step.end();
    for (const text of out.written) {
      expect(text.replace('\r\u001b[2K', '').replace('\n', '').length).toBeLessThan(40);
    }
  });

  it('keeps the bar below a note', () => {
    const out = sink();
    const report = terminalReporter({ ...out, columns: () => 80 });
    report.step('images', 4).advance(2);
    const bar = out.written.at(-1)?.replace('\r\u001b[2K', '');
    report.note('skipped broken.jpg');
    expect(out.written.at(-1)).toBe(`\r\u001b[2Kskipped broken.jpg\n${bar}`);
  });
});

describe('a reporter for programs', () => {
  it('writes one JSON object per line, progress at most twice a second', () => {
    const out = sink();
    const report = jsonReporter(out);
    const step = report.step('gradients', 8);
    for (const [ms, done] of [
      [100, 1],
      [600, 2],
      [700, 3],
      [2000, 5],
    ] as const) {
      out.clock.ms = ms;
      step.advance(done, `at ${done}`);
    }
    out.clock.ms = 3200;
    step.end('done');
    report.note('hello');
    expect(out.written.map((line) => JSON.parse(line))).toEqual([
      { event: 'step', name: 'gradients', total: 8 },
      { event: 'progress', name: 'gradients', done: 2, total: 8, remaining: 1800, detail: 'at 2' },
      { event: 'progress', name: 'gradients', done: 5, total: 8, remaining: 1200, detail: 'at 5' },
      { event: 'end', name: 'gradients', took: 3200, detail: 'done' },
      { event: 'note', message: 'hello' },
    ]);
    expect(out.written.every((line) => line.endsWith('\n'))).toBe(true);
  });
});

describe('times', () => {
  it('are estimated from the mean pace', () => {
    expect(remainingTime(0, 10, 5000)).toBeUndefined();
    expect(remainingTime(4, 10, 2000)).toBe(3000);
    expect(remainingTime(10, 10, 2000)).toBe(0);
  });

  it('are written for people', () => {
    const shown = [0, 850, 4200, 59_949, 59_950, 185_000, 3_600_000, 7_620_000].map(formatDuration);
    expect(shown).toEqual([
      '0 ms',
      '850 ms',
      '4.2 s',
      '59.9 s',
      '1 min 00 s',
      '3 min 05 s',
      '1 h 00 min',
      '2 h 07 min',
    ]);
  });
});
