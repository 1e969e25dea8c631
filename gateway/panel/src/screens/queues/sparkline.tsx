// A chart of the jobs enqueued and finished per second, with the current values as text.
import { useFormat } from "../../i18n/format";
import { useTexts } from "../../i18n/index";
import { POINTS_MAX, type Point } from "./rate-history";

const [WIDTH, HEIGHT] = [120, 28];

function path(points: readonly Point[], rateOf: (point: Point) => number, max: number): string {
  const x = (index: number) => WIDTH - ((points.length - 1 - index) * WIDTH) / (POINTS_MAX - 1);
  const y = (value: number) => HEIGHT - 2 - (value / max) * (HEIGHT - 4);
  return points
    .map(
      (point, index) =>
        `${index === 0 ? "M" : "L"}${x(index).toFixed(1)} ${y(rateOf(point)).toFixed(1)}`,
    )
    .join("");
}

export function Sparkline({ name, points }: { name: string; points: readonly Point[] }) {
  const texts = useTexts();
  const format = useFormat();
  const last = points.at(-1);
  if (!last) return null;
  const max = Math.max(1, ...points.map(({ enqueued, finished }) => Math.max(enqueued, finished)));
  const [enqueued, finished] = [format.rate(last.enqueued), format.rate(last.finished)];
  return (
    <div className="sparkline">
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="img"
        aria-label={texts.queues.sparkline(name, enqueued, finished)}
      >
        <path className="in" d={path(points, (point) => point.enqueued, max)} />
        <path className="out" d={path(points, (point) => point.finished, max)} />
      </svg>
      <span className="nowrap" aria-hidden="true">
        <span className="in" title={texts.queues.enqueued}>
          ↓ {enqueued}
        </span>{" "}
        <span className="out" title={texts.queues.finished}>
          ↑ {finished}
        </span>
      </span>
    </div>
  );
}
