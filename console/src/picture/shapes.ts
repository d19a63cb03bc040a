// A program that draws nodes as points with a shape: one vertex each, which is little work also for a computer without a
// graphics card. The four shapes are distance functions.

import type Sigma from "sigma";
import { NodePointProgram } from "sigma/rendering";
import type { ProgramInfo } from "sigma/rendering";
import type { NodeDisplayData, RenderParams } from "sigma/types";
import { floatColor } from "sigma/utils";
import { SHAPES } from "./look";
import type { EdgeLook, NodeLook } from "./model";

const VERTEX = `
attribute vec4 a_id;
attribute vec4 a_color;
attribute vec2 a_position;
attribute float a_size;
attribute float a_shape;
uniform float u_sizeRatio;
uniform float u_pixelRatio;
uniform mat3 u_matrix;
varying vec4 v_color;
varying float v_shape;
varying float v_soft;
const float bias = 255.0 / 254.0;

void main() {
  gl_Position = vec4((u_matrix * vec3(a_position, 1.0)).xy, 0.0, 1.0);
  gl_PointSize = max(a_size / u_sizeRatio * u_pixelRatio * 2.0, 2.0);
  v_soft = 3.0 / gl_PointSize;
  v_shape = a_shape;
  #ifdef PICKING_MODE
  v_color = a_id;
  #else
  v_color = a_color;
  #endif
  v_color.a *= bias;
}
`;

const FRAGMENT = `
precision mediump float;
varying vec4 v_color;
varying float v_shape;
varying float v_soft;

// How far a place is outside of a shape; y points down.
float outside(vec2 place) {
  if (v_shape < 0.5) return length(place) - 1.0;
  if (v_shape < 1.5) return max(abs(place.x), abs(place.y)) - 0.85;
  if (v_shape < 2.5) return abs(place.x) + abs(place.y) - 1.0;
  return max(0.866 * abs(place.x) - 0.5 * place.y, place.y) - 0.5;
}

void main() {
  float distance = outside(gl_PointCoord * 2.0 - 1.0);
  #ifdef PICKING_MODE
  if (distance > 0.0) discard;
  gl_FragColor = v_color;
  #else
  gl_FragColor = v_color * (1.0 - smoothstep(-v_soft, 0.0, distance));
  #endif
}
`;

/** Above this number of nodes, names are left out while the picture moves, and so is what finds the node under the pointer. */
export const MANY_NODES = 2000;
/** So many nodes are drawn while the picture moves: the first ones, which have the most relations, and the last ones, which are looked at. */
const FIRST_NODES = 3000;
const LAST_NODES = 500;

/** Pictures of which the node under the pointer is asked for. */
const asked = new WeakSet<object>();

/** Draws a picture with what finds the node under the pointer, also if it moves: a click means what is seen when it is made. */
export function drawForPointer(renderer: Sigma<NodeLook, EdgeLook>): void {
  asked.add(renderer);
  renderer.refresh({ partialGraph: { nodes: [], edges: [] }, skipIndexation: true });
  asked.delete(renderer);
}

export class ShapeProgram extends NodePointProgram<NodeLook, EdgeLook> {
  override getDefinition() {
    const { FLOAT } = WebGLRenderingContext;
    const { ATTRIBUTES, ...others } = super.getDefinition();
    return {
      ...others,
      VERTEX_SHADER_SOURCE: VERTEX,
      FRAGMENT_SHADER_SOURCE: FRAGMENT,
      ATTRIBUTES: [...ATTRIBUTES, { name: "a_shape", size: 1, type: FLOAT as 5126 }],
    };
  }

  /** Each node is drawn a second time, where nobody sees it, to find the one under the pointer: half of the work while the picture moves. */
  protected override renderProgram(params: RenderParams, info: ProgramInfo): void {
    if (info.isPicking && this.verticesCount > MANY_NODES && this.#isMoving()) return;
    super.renderProgram(params, info);
  }

  override drawWebGL(method: number, info: ProgramInfo): void {
    const rest = this.verticesCount - LAST_NODES;
    if (rest <= FIRST_NODES || !this.#isMoving()) {
      super.drawWebGL(method, info);
      return;
    }
    const { gl, frameBuffer } = info;
    gl.bindFramebuffer(gl.FRAMEBUFFER, frameBuffer);
    gl.drawArrays(method, 0, FIRST_NODES);
    gl.drawArrays(method, rest, LAST_NODES);
  }

  /** As sigma decides what it leaves out. */
  #isMoving(): boolean {
    if (asked.has(this.renderer)) return false;
    const captor = this.renderer.getMouseCaptor();
    return this.renderer.getCamera().isAnimated() || captor.isMoving || captor.draggedEvents > 0 || captor.currentWheelDirection !== 0;
  }

  override processVisibleItem(nodeIndex: number, startIndex: number, data: NodeDisplayData): void {
    const { shape } = data as NodeDisplayData & Pick<NodeLook, "shape">;
    this.array.set([data.x, data.y, data.size, floatColor(data.color), nodeIndex, SHAPES.indexOf(shape)], startIndex);
  }
}
