// The picture of entities and relations. It is for the pointer; lists beside it have the same for the keyboard and for screen readers.

import { useMemo } from "preact/hooks";
import { lookOf, type Shape } from "../picture/look";
import { type Entity, type Known, pictured } from "./graph_model";
import { HEIGHT, type Place, placed, WIDTH } from "./layout";
import { texts } from "./texts";

const t = texts.graph;
export const MOST_PICTURED = 200;
/** In a larger picture only what is around the chosen entity is named. */
const MOST_NAMED = 40;
/** More names of relations would cover each other. */
const MOST_NAMED_RELATIONS = 10;
/** The size of marks: many ones are smaller, so that they do not cover each other. */
const sizeFor = (entities: number) => (entities > 100 ? 6 : entities > 30 ? 8 : 11);
const MOST_CHARACTERS = 22;

/** A name near the edge begins or ends there. */
const EDGE = 130;

const short = (name: string) => (name.length > MOST_CHARACTERS ? `${name.slice(0, MOST_CHARACTERS)}…` : name);

function Mark({ shape, place: [x, y], size }: { shape: Shape; place: Place; size: number }) {
  const corners = (points: [number, number][]) => <polygon points={points.map(([dx, dy]) => `${x + dx * size},${y + dy * size}`).join(" ")} />;
  if (shape === "circle") return <circle cx={x} cy={y} r={size} />;
  if (shape === "square") return <rect x={x - 0.85 * size} y={y - 0.85 * size} width={1.7 * size} height={1.7 * size} />;
  return corners(
    shape === "diamond"
      ? [
          [0, -1.2],
          [1.2, 0],
          [0, 1.2],
          [-1.2, 0],
        ]
      : [
          [0, -1.1],
          [1.1, 0.9],
          [-1.1, 0.9],
        ],
  );
}

/** A line that ends with an arrow at the mark of its second entity. */
function Arrow({ from: [ax, ay], to: [bx, by], size, isStrong }: { from: Place; to: Place; size: number; isStrong: boolean }) {
  const [w, h] = [bx - ax, by - ay];
  const length = Math.hypot(w, h);
  if (length < 3 * size) return null;
  const [ux, uy] = [w / length, h / length];
  const [ex, ey] = [bx - ux * (size + 3), by - uy * (size + 3)];
  const head = Math.min(size, 8);
  const [hx, hy] = [ex - ux * head, ey - uy * head];
  const corners = [
    [ex, ey],
    [hx - (uy * head) / 2, hy + (ux * head) / 2],
    [hx + (uy * head) / 2, hy - (ux * head) / 2],
  ];
  return (
    <g class={isStrong ? "edge strong" : "edge"}>
      <line x1={ax} y1={ay} x2={hx} y2={hy} />
      <polygon points={corners.map((point) => point.join(",")).join(" ")} />
    </g>
  );
}

interface Props {
  known: Known;
  chosen: string | undefined;
  onChoose: (id: string) => void;
}

export function Drawing({ known, chosen, onChoose }: Props) {
  const { entities, relations, places } = useMemo(() => {
    const shown = pictured(known, chosen, MOST_PICTURED);
    // Places do not depend on the order, so that a choice moves nothing.
    const ids = shown.map(({ id }) => id).sort();
    return { entities: shown, relations: known.relations, places: placed(ids, known.relations) };
  }, [known, known.entities.size > MOST_PICTURED ? chosen : undefined]);
  if (entities.length === 0) return null;
  const size = sizeFor(entities.length);
  const near = new Set(chosen === undefined ? [] : [chosen]);
  const own = relations.filter(({ from, to }) => from === chosen || to === chosen);
  for (const { from, to } of own) near.add(from).add(to);
  const isNear = (id: string) => chosen === undefined || near.has(id);
  const ends = ({ from, to }: { from: string; to: string }) => [places.get(from), places.get(to)] as const;
  return (
    <>
      <svg class="drawing" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={t.picture(entities.length)}>
        {relations.map((relation, at) => {
          const [from, to] = ends(relation);
          return from !== undefined && to !== undefined && <Arrow key={at} from={from} to={to} size={size} isStrong={relation.from === chosen || relation.to === chosen} />;
        })}
        {own.length <= MOST_NAMED_RELATIONS &&
          own.map((relation, at) => {
            const [from, to] = ends(relation);
            if (from === undefined || to === undefined || relation.from === relation.to) return null;
            return (
              <text key={at} class="relation" x={(from[0] + to[0]) / 2} y={(from[1] + to[1]) / 2}>
                {short(relation.type)}
              </text>
            );
          })}
        {entities.map((entity) => (
          <Node
            key={entity.id}
            entity={entity}
            place={places.get(entity.id)}
            size={size}
            isChosen={entity.id === chosen}
            isFaint={!isNear(entity.id)}
            isNamed={entities.length <= MOST_NAMED || (chosen !== undefined && near.has(entity.id) && near.size <= MOST_NAMED)}
            onChoose={onChoose}
          />
        ))}
      </svg>
      {known.entities.size > entities.length && <p class="quiet">{t.partOfPicture(entities.length, known.entities.size)}</p>}
    </>
  );
}

interface NodeProps {
  entity: Entity;
  place: Place | undefined;
  size: number;
  isChosen: boolean;
  isFaint: boolean;
  isNamed: boolean;
  onChoose: (id: string) => void;
}

function Node({ entity: { id, name, type }, place, size, isChosen, isFaint, isNamed, onChoose }: NodeProps) {
  if (place === undefined) return null;
  const { shape, colour } = lookOf(type);
  const side = place[0] < EDGE ? "at-start" : place[0] > WIDTH - EDGE ? "at-end" : "";
  const look = type === undefined ? "unknown" : `tone-${colour}`;
  return (
    <g class={`node ${look} ${isChosen ? "chosen" : ""} ${isFaint ? "faint" : ""}`} onClick={() => onChoose(id)}>
      <title>{name}</title>
      <Mark shape={type === undefined ? "circle" : shape} place={place} size={size} />
      {isNamed && (
        <text class={side} x={place[0] + (side === "at-start" ? -size : side === "at-end" ? size : 0)} y={place[1] + size} dy="1em">
          {short(name)}
        </text>
      )}
    </g>
  );
}
