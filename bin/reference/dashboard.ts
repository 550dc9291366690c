import { type Panel, panelRows } from './dashboard-panels.ts'

/** The Grafana dashboard, ready to import. */
export function dashboard(): object {
  return {
    title: 'Token Handler',
    uid: 'token-handler',
    tags: ['token-handler', 'oauth'],
    schemaVersion: 39,
    editable: true,
    refresh: '30s',
    time: { from: 'now-3h', to: 'now' },
    templating: {
      list: [
        { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' },
        {
          name: 'job',
          label: 'Job',
          type: 'query',
          datasource: { type: 'prometheus', uid: '${datasource}' },
          query: 'label_values(token_handler_key_info, job)',
          refresh: 2,
          multi: true,
          includeAll: true,
        },
      ],
    },
    panels: panelRows.flatMap(([title, panels], row) => rowPanels(title, panels, row)),
  }
}

const rowHeight = 9

function rowPanels(title: string, panels: readonly Panel[], row: number): object[] {
  const y = row * rowHeight
  let x = 0
  const laidOut = panels.map((panel, column) => {
    const place = { h: rowHeight - 1, w: panel.width, x, y: y + 1 }
    x += panel.width
    return panelJson(panel, row * 100 + column + 1, place)
  })
  return [
    { type: 'row', id: row * 100 + 100, title, collapsed: false, gridPos: { h: 1, w: 24, x: 0, y }, panels: [] },
    ...laidOut,
  ]
}

function panelJson(
  { title, description, unit, targets, kind = 'timeseries' }: Panel,
  id: number,
  gridPos: object,
): object {
  return {
    type: kind,
    id,
    title,
    description,
    gridPos,
    datasource: { type: 'prometheus', uid: '${datasource}' },
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    targets: targets.map(([expr, legendFormat], index) => ({
      refId: String.fromCharCode(65 + index),
      expr,
      legendFormat,
    })),
  }
}
