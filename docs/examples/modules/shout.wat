;; /shout TEXT: says it louder. The same as shout.rs, for whoever has no Rust target for it:
;; wat2wasm shout.wat
(module
  (memory (export "memory") 2)
  ;; What the server tells stands at 65536; it never has more than one page for it.
  (func (export "alloc") (param $len i32) (result i32)
    (if (i32.gt_u (local.get $len) (i32.const 65536)) (then unreachable))
    (i32.const 65536))
  ;; {"text":"hello",…: the text begins behind nine bytes. It is changed where it stands.
  (func (export "run") (param $at i32) (param $len i32) (result i64)
    (local $begin i32) (local $letter i32)
    (local.set $begin (local.get $at))
    (local.set $at (i32.add (local.get $at) (i32.const 9)))
    (block $end (loop $next
      (local.set $letter (i32.load8_u (local.get $at)))
      (br_if $end (i32.eq (local.get $letter) (i32.const 34)))
      (if (i32.eq (local.get $letter) (i32.const 92))
        (then (local.set $at (i32.add (local.get $at) (i32.const 1))))
        (else (if (i32.lt_u (i32.sub (local.get $letter) (i32.const 97)) (i32.const 26))
          (then (i32.store8 (local.get $at) (i32.sub (local.get $letter) (i32.const 32)))))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next)))
    (i32.store8 (local.get $at) (i32.const 33))
    (i32.store16 offset=1 (local.get $at) (i32.const 0x7d22))
    (i64.or (i64.shl (i64.extend_i32_u (local.get $begin)) (i64.const 32))
      (i64.extend_i32_u (i32.sub (i32.add (local.get $at) (i32.const 3)) (local.get $begin))))))
