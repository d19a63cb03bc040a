// The graph as a picture, with a list beside it that reaches everything without a pointer. Loaded when it is opened.

import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import * as api from "../api";
import { type Following, PageHeading, Shown, useLoaded } from "../parts";
import { apply, type Focus, graphOf, isPath, type Kept, pathBetween, type Picture, shownBy } from "../picture/model";
import { Canvas } from "../picture/canvas";
import { Legend, Neighbours, NodeList, PathFound } from "../picture/lists";
import { TimeSlider } from "../picture/time_slider";
import { go, links, type PictureView } from "../router";
import { texts } from "../texts";
import { usePaper } from "../theme";
import { ViewTabs } from "./graph";

const t = texts.picture;
/** Between two pictures that follow changes, in milliseconds. */
const [SHORTEST_PAUSE, LONGEST_PAUSE] = [200, 30_000] as const;

function Notes({ found }: { found: api.GraphPicture }) {
  const notes = [
    found.isClustered ? t.clustered(found.nodes.ids.length) : undefined,
    found.entitiesLeft > 0 ? t.entitiesLeft(found.entitiesLeft) : undefined,
    found.edgesLeft > 0 ? t.edgesLeft(found.edgesLeft) : undefined,
    found.isCut ? t.isCut : undefined,
  ].filter((note) => note !== undefined);
  return notes.length === 0 ? null : <p class="note">{notes.join(" ")}</p>;
}

interface DrawnProps {
  found: api.GraphPicture;
  view: PictureView;
  kept: Kept;
  onView: (view: PictureView) => void;
}

/** The picture of one reply, and its lists. */
function Drawn({ found, view, kept, onView }: DrawnProps) {
  const paper = usePaper();
  const graph = useMemo<Picture>(() => graphOf(found, kept.places, paper), [found, paper.isDark]);
  const [steps, setSteps] = useState(1);
  const [foundPath, setPath] = useState<string[] | "none">();
  // At another time, or after a change, some of its nodes or relations may not exist.
  const path = Array.isArray(foundPath) && !isPath(graph, foundPath) ? undefined : foundPath;
  const [isChoosing, setChoosing] = useState(false);
  const [hiddenTypes, setHiddenTypes] = useState<ReadonlySet<string>>(new Set());
  const chosen = view.focus !== undefined && graph.hasNode(view.focus) ? view.focus : undefined;

  const focus = useMemo<Focus>(() => ({ node: chosen, steps, path: Array.isArray(path) ? path : undefined, hiddenTypes }), [chosen, steps, path, hiddenTypes]);
  const shown = useMemo(() => shownBy(graph, focus), [graph, focus]);
  const choice = [chosen ?? "", steps, ...(Array.isArray(path) ? path : [])].join(" ");
  useEffect(() => apply(graph, focus, found.relationTypes, paper), [graph, focus]);

  const choose = useCallback(
    (node: string | undefined) => {
      if (isChoosing && node !== undefined && chosen !== undefined) {
        setChoosing(false);
        setPath(node === chosen ? undefined : (pathBetween(graph, chosen, node) ?? "none"));
        return;
      }
      setPath(undefined);
      onView({ ...view, focus: node });
    },
    [isChoosing, chosen, graph, view, onView],
  );
  const open = useCallback(
    (node: string) => {
      if (found.isClustered) onView({ ...view, cluster: node, focus: undefined });
      else go(links.entity(node));
    },
    [found, view, onView],
  );
  const toggle = (type: string) => {
    const next = new Set(hiddenTypes);
    if (!next.delete(type)) next.add(type);
    setHiddenTypes(next);
  };

  return (
    <div class="picture">
      <Canvas found={found} graph={graph} kept={kept} paper={paper} shown={shown} choice={choice} onChoose={choose} onOpen={open} />
      <div class="picture-side">
        {chosen === undefined ? (
          <NodeList found={found} graph={graph} hidden={hiddenTypes} onChoose={choose} onCluster={(cluster) => onView({ ...view, cluster, focus: cluster })} />
        ) : (
          <Neighbours
            key={chosen}
            found={found}
            graph={graph}
            node={chosen}
            steps={steps}
            onSteps={setSteps}
            isChoosing={isChoosing}
            onPath={() => {
              setPath(undefined);
              setChoosing(!isChoosing);
            }}
            onChoose={choose}
            onOpen={open}
          />
        )}
        {path !== undefined && <PathFound found={found} graph={graph} path={path} onChoose={choose} onClose={() => setPath(undefined)} />}
        <Legend found={found} hidden={hiddenTypes} onToggle={toggle} />
      </div>
    </div>
  );
}

export default function PicturePage({ view }: { view: PictureView }) {
  const pictures = useRef(new Map<string, Kept>());
  const [last, setLast] = useState<api.GraphPicture>();
  const kept = pictures.current.get(view.cluster ?? "") ?? { places: new Map(), view: undefined, framed: undefined, isBusy: false };
  pictures.current.set(view.cluster ?? "", kept);
  // The present graph follows changes, a large one less often. What has a place keeps it.
  const following: Following = {
    live: view.asOf === undefined,
    only: "graph",
    pause: () => Math.min(SHORTEST_PAUSE + (last?.entities ?? 0) / 2, LONGEST_PAUSE),
    isReady: () => !kept.isBusy,
  };
  const [loaded, retry] = useLoaded((signal) => api.picture(view.asOf, view.cluster, signal), [view.asOf, view.cluster], following);
  /** The view before a node was chosen, whose address is the one before in the history of the browser. */
  const before = useRef<PictureView>(undefined);
  const onView = useCallback(
    (next: PictureView) => {
      const isChosen = view.focus === undefined && next.focus !== undefined && next.cluster === view.cluster;
      const was = before.current;
      if (was !== undefined && next.focus === undefined && next.cluster === was.cluster && next.asOf === was.asOf) {
        before.current = undefined;
        window.history.back();
        return;
      }
      before.current = isChosen ? view : next.focus === undefined || next.cluster !== view.cluster ? undefined : was;
      go(links.picture(next), { replace: next.cluster === view.cluster && !isChosen });
    },
    [view],
  );
  // Going back from the chosen node, or to another page and on, is no choice.
  useEffect(() => {
    if (view.focus === undefined) before.current = undefined;
  }, [view.focus]);
  useEffect(() => {
    if (loaded.state === "done") setLast(loaded.value);
  }, [loaded]);
  // While another time is loaded, the picture before it stays.
  const found = loaded.state === "done" ? loaded.value : loaded.state === "loading" ? last : undefined;
  return (
    <>
      {view.cluster !== undefined && (
        <p class="crumbs">
          <a href={links.picture({ ...view, cluster: undefined, focus: undefined })}>{t.allClusters}</a>
        </p>
      )}
      <PageHeading text={texts.graph.heading}>
        <ViewTabs shown="picture" />
      </PageHeading>
      {found === undefined ? (
        <Shown loaded={loaded} retry={retry}>
          {() => null}
        </Shown>
      ) : (
        <>
          <p class="quiet" role="status">
            {t.summary(found.entities, found.relations)}
          </p>
          <Notes found={found} />
          {found.first !== undefined && (
            <TimeSlider first={found.first} asOf={view.asOf} onChange={(asOf) => onView({ ...view, asOf })} />
          )}
          {found.nodes.ids.length === 0 ? (
            <p class="quiet">{view.asOf === undefined ? texts.graph.none : t.noneYet}</p>
          ) : (
            <Drawn key={view.cluster ?? ""} found={found} view={view} kept={kept} onView={onView} />
          )}
        </>
      )}
    </>
  );
}
