import { FieldColorModeId, type Panel, ThresholdsMode } from '@grafana/schema';

/** One query of a panel, and what its lines are called: `{{label}}` stands for the value of a label. */
export interface Query {
  readonly expr: string;
  readonly legend: string;
}

export interface PanelOptions {
  readonly title: string;
  /** What to read from it, and what to do about it. */
  readonly description: string;
  /** Grafana's name of the unit: `s`, `percentunit`, `reqps`, `bytes`, `short`. */
  readonly unit: string;
  /** Columns of 24. @default 8 */
  readonly width?: number;
  readonly queries: readonly Query[];
  /** Lines on top of each other. */
  readonly stacked?: boolean;
  readonly min?: number;
  readonly max?: number;
  /** Orange between the two; `good` is the smaller one where more is worse. */
  readonly thresholds?: { readonly good: number; readonly bad: number };
}

/** A panel that has no place yet. */
export type Unplaced = Omit<Panel, 'gridPos' | 'id'> & {
  readonly size: { readonly w: number; readonly h: number };
};

/** Chosen at the top of the dashboard. */
export const DATASOURCE = { type: 'prometheus', uid: '$datasource' };
const REFS = 'ABCDEFGH';

function base({ title, description, queries }: PanelOptions, type: string, h: number, w: number): Unplaced {
  return {
    type,
    title,
    description,
    datasource: DATASOURCE,
    size: { w, h },
    targets: queries.map(({ expr, legend }, i) => ({
      refId: REFS[i] ?? 'Z',
      datasource: DATASOURCE,
      expr,
      legendFormat: legend,
      editorMode: 'code',
      range: true,
    })),
  };
}

function limits({ unit, min, max, thresholds }: PanelOptions) {
  return {
    unit,
    ...(min !== undefined && { min }),
    ...(max !== undefined && { max }),
    ...(thresholds && { color: { mode: FieldColorModeId.Thresholds }, thresholds: steps(thresholds) }),
  };
}

/** Green, orange, red; from the bottom up where `good` is the smaller number, and the other way round otherwise. */
function steps({ good, bad }: NonNullable<PanelOptions['thresholds']>) {
  const rising = good < bad;
  return {
    mode: ThresholdsMode.Absolute,
    steps: [
      { value: null, color: rising ? 'green' : 'red' },
      { value: rising ? good : bad, color: 'orange' },
      { value: rising ? bad : good, color: rising ? 'red' : 'green' },
    ],
  };
}

/** Lines over time. */
export function lines(options: PanelOptions): Unplaced {
  const { stacked = false, width = 8 } = options;
  return {
    ...base(options, 'timeseries', 8, width),
    fieldConfig: {
      defaults: {
        ...limits(options),
        custom: {
          drawStyle: 'line',
          lineWidth: 1,
          showPoints: 'never',
          fillOpacity: stacked ? 60 : 8,
          stacking: { mode: stacked ? 'normal' : 'none', group: 'A' },
        },
      },
      overrides: [],
    },
    options: {
      legend: { displayMode: 'list', placement: 'bottom', showLegend: true },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
  };
}

/** One number, now. */
export function number(options: PanelOptions): Unplaced {
  return {
    ...base(options, 'stat', 4, options.width ?? 4),
    fieldConfig: { defaults: limits(options), overrides: [] },
    options: {
      reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
      colorMode: options.thresholds ? 'background' : 'value',
      graphMode: 'area',
      textMode: 'auto',
    },
  };
}
