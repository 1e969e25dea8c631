// Two lines on one small scale: what came in and what ended, with the figures as text beside.
import { useFormat } from "../../i18n/format";
import { useWords } from "../../i18n/index";
import { POINTS_MAX, type Point } from "./history";

const [WIDTH, HEIGHT] = [120, 28];

function path(points: readonly Point[], of: (point: Point) => number, max: number): string {
  const x = (index: number) => WIDTH - ((points.length - 1 - index) * WIDTH) / (POINTS_MAX - 1);
  const y = (value: number) => HEIGHT - 2 - (value / max) * (HEIGHT - 4);
  return points
    .map(
      (point, index) =>
        `${index === 0 ? "M" : "L"}${x(index).toFixed(1)} ${y(of(point)).toFixed(1)}`,
    )
    .join("");
}

export function Spark({ name, points }: { name: string; points: readonly Point[] }) {
  const words = useWords();
  const format = useFormat();
  const last = points.at(-1);
  if (!last) return null;
  const max = Math.max(1, ...points.map(({ enqueued, ended }) => Math.max(enqueued, ended)));
  const [enqueued, ended] = [format.rate(last.enqueued), format.rate(last.ended)];
  return (
    <div className="spark">
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="img"
        aria-label={words.queues.spark(name, enqueued, ended)}
      >
        <path className="in" d={path(points, (point) => point.enqueued, max)} />
        <path className="out" d={path(points, (point) => point.ended, max)} />
      </svg>
      <span className="nowrap" aria-hidden="true">
        <span className="in" title={words.queues.enqueued}>
          ↓ {enqueued}
        </span>{" "}
        <span className="out" title={words.queues.ended}>
          ↑ {ended}
        </span>
      </span>
    </div>
  );
}
